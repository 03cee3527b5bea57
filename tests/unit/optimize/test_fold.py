"""Batch normalizations are folded where they can be, and the network computes the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow

IMAGE = (8, 8, 3)


def _norm(**more: Any) -> Any:
    """A normalization whose figures are not those of a new one."""
    import keras

    return keras.layers.BatchNormalization(
        beta_initializer=keras.initializers.RandomNormal(seed=1),
        gamma_initializer=keras.initializers.RandomUniform(0.5, 2, seed=2),
        moving_mean_initializer=keras.initializers.RandomNormal(seed=3),
        moving_variance_initializer=keras.initializers.RandomUniform(0.1, 3, seed=4),
        **more,
    )


def _after(layer: Callable[[Any], Any], shape: tuple[int, ...] = IMAGE, **more: Any) -> Any:
    def build(keras: Any) -> Any:
        x = keras.Input(shape, name="x")
        y = keras.layers.ReLU(name="end")(_norm(**more)(layer(keras)(x)))
        return keras.Model(x, y)

    return build


def _sequential(keras: Any) -> Any:
    layers = [
        keras.layers.Conv2D(4, 3, use_bias=False),
        _norm(),
        keras.layers.ReLU(),
        keras.layers.Flatten(),
        keras.layers.Dense(5),
        _norm(),
    ]
    return keras.Sequential([keras.Input(IMAGE), *layers])


def _branches(keras: Any) -> Any:
    x, other = keras.Input(IMAGE, name="x"), keras.Input((8, 8, 4), name="other")
    left = _norm()(keras.layers.Conv2D(4, 1, name="left")(x))
    right = _norm()(keras.layers.SeparableConv2D(4, 3, padding="same", name="right")(x))
    joined = keras.layers.Add()([left, right, other])
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(keras.layers.ReLU()(joined))
    return keras.Model({"x": x, "other": other}, [pooled, joined])


def _inner_model(keras: Any) -> Any:
    inner_x = keras.Input(IMAGE)
    inner_y = _norm()(keras.layers.Conv2D(3, 3, padding="same", name="conv")(inner_x))
    inner = keras.Model(inner_x, keras.layers.ReLU()(inner_y), name="inner")
    x = keras.Input(IMAGE)
    return keras.Model(x, inner(inner(x)))


def _norm_is_output(keras: Any) -> Any:
    x = keras.Input((6,))
    return keras.Model(x, _norm(name="scores")(keras.layers.Dense(4)(x)))


FOLDED = {
    "convolution": _after(lambda keras: keras.layers.Conv2D(4, 3)),
    "without-bias": _after(lambda keras: keras.layers.Conv2D(4, 3, use_bias=False)),
    "groups": _after(lambda keras: keras.layers.Conv2D(6, 3, groups=3)),
    "depthwise": _after(lambda keras: keras.layers.DepthwiseConv2D(3, depth_multiplier=2)),
    "separable": _after(lambda keras: keras.layers.SeparableConv2D(5, 3)),
    "transposed": _after(lambda keras: keras.layers.Conv2DTranspose(5, 3, strides=2)),
    "one-dimension": _after(lambda keras: keras.layers.Conv1D(5, 3), (10, 3)),
    "dense": _after(lambda keras: keras.layers.Dense(5), (7,)),
    "dense-of-sequence": _after(lambda keras: keras.layers.Dense(5), (4, 7)),
    "no-scale": _after(lambda keras: keras.layers.Conv2D(4, 3), scale=False),
    "no-center": _after(lambda keras: keras.layers.Conv2D(4, 3), center=False),
    "sequential": _sequential,
    "branches": _branches,
    "inner-model-twice": _inner_model,
    "output": _norm_is_output,
}


def _before_convolution(keras: Any) -> Any:
    x = keras.Input(IMAGE)
    return keras.Model(x, keras.layers.Conv2D(4, 3)(_norm()(x)))


def _read_twice(keras: Any) -> Any:
    x = keras.Input(IMAGE)
    y = keras.layers.Conv2D(4, 3)(x)
    return keras.Model(x, keras.layers.Add()([y, _norm()(y)]))


def _layer_shared(keras: Any) -> Any:
    x = keras.Input(IMAGE)
    layer = keras.layers.Conv2D(3, 3, padding="same")
    return keras.Model(x, layer(_norm()(layer(x))))


def _layer_also_output(keras: Any) -> Any:
    x = keras.Input(IMAGE)
    y = keras.layers.Conv2D(4, 3)(x)
    return keras.Model(x, [y, _norm()(y)])


LEFT = {
    "before-convolution": _before_convolution,
    "read-twice": _read_twice,
    "layer-shared": _layer_shared,
    "layer-also-output": _layer_also_output,
    "activation-between": _after(lambda keras: keras.layers.Conv2D(4, 3, activation="relu")),
    "other-axis": _after(lambda keras: keras.layers.Conv2D(4, 3), axis=1),
}


def _normalizations(model: Any) -> int:
    return sum(type(layer).__name__ == "BatchNormalization" for layer in model._flatten_layers())


def _ends(model: Any) -> list[str]:
    return [] if hasattr(model, "_functional") else list(model.output_names)


def _outputs(model: Any) -> list[Any]:
    import keras

    random = np.random.default_rng(0)
    shapes = [(2, *tensor.shape[1:]) for tensor in model.inputs]
    names = [tensor.name for tensor in model.inputs]
    values = {
        name: random.normal(size=shape).astype(np.float32)
        for name, shape in zip(names, shapes, strict=True)
    }
    several = list(values.values())
    graph = not isinstance(model, keras.Sequential)
    if graph and isinstance(model.input, dict):
        given: Any = values
    else:
        given = several if len(several) > 1 else several[0]
    return [np.asarray(y) for y in keras.tree.flatten(model(given, training=False))]


@pytest.mark.parametrize("build", FOLDED.values(), ids=FOLDED)
def test_folded(build: Callable[[Any], Any]) -> None:
    import keras

    from taxiway.optimize.fold import fold_batch_norm

    model = build(keras)
    before = _outputs(model)
    folded = fold_batch_norm(model)
    assert _normalizations(model) > 0
    assert _normalizations(folded) == 0
    assert _ends(folded) == _ends(model)
    assert [tensor.name for tensor in folded.inputs] == [tensor.name for tensor in model.inputs]
    kept = {weight.path for weight in model.weights if weight.path.endswith("kernel")}
    assert kept == {weight.path for weight in folded.weights if weight.path.endswith("kernel")}
    for one, other in zip(before, _outputs(folded), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("build", LEFT.values(), ids=LEFT)
def test_left(build: Callable[[Any], Any]) -> None:
    import keras

    from taxiway.optimize.fold import fold_batch_norm

    model = build(keras)
    folded = fold_batch_norm(model)
    assert _normalizations(folded) == _normalizations(model) == 1
    for one, other in zip(_outputs(model), _outputs(folded), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5)
