"""Where activations are rounded, and that nothing else changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def _ranged(network: Any, *left: str) -> list[str]:
    """What each `Range` reads: the operation that made it, or the input."""
    from taxiway.optimize.quantize.aware.network import Rounding

    with Rounding(network, left) as rounding:
        nodes = [layer._inbound_nodes[0] for layer in rounding.ranges]
    return [node.input_tensors[0]._keras_history.operation.name for node in nodes]


def _fused(keras: Any, L: Any, x: Any) -> Any:
    y = L.Conv2D(4, 3, activation="relu", name="own")(x)
    y = L.ReLU(6.0, name="relu")(L.Conv2D(4, 3, name="conv")(y))
    return L.Dense(3, name="scores")(L.Flatten(name="flat")(y))


def _residual(keras: Any, L: Any, x: Any) -> Any:
    y = L.Conv2D(2, 1, name="conv")(x)
    y = L.Activation("relu", name="relu")(L.Add(name="add")([x, y]))
    return L.GlobalAveragePooling2D(name="pool")(L.MaxPooling2D(name="max")(y))


def _read_twice(keras: Any, L: Any, x: Any) -> Any:
    y = L.Conv2D(2, 1, name="conv")(x)
    return L.Concatenate(name="both")([L.ReLU(name="relu")(y), y])


def _own_activation(keras: Any, L: Any, x: Any) -> Any:
    y = L.Conv2D(2, 1, activation="sigmoid", name="gate")(x)
    return L.Multiply(name="scores")([x, y])


def _operations(keras: Any, L: Any, x: Any) -> Any:
    y = L.Conv2D(2, 1, name="conv")(x) + x
    return L.Flatten(name="flat")(keras.ops.reshape(y, (-1, 128)))


def _inner(keras: Any, L: Any, x: Any) -> Any:
    inner = keras.Sequential([L.Conv2D(2, 1, name="conv"), L.ReLU(name="relu")], name="inner")
    return inner(inner(x))


CASES = {
    "fused": (_fused, ["x", "own", "relu"]),
    "residual": (_residual, ["x", "conv", "relu"]),
    "read-twice": (_read_twice, ["x", "conv", "relu"]),
    "own-activation": (_own_activation, ["x", "gate", "activation"]),
    "operations": (_operations, ["x", "conv", "add"]),
    "inner-model-twice": (_inner, ["x", "relu"]),
}


@pytest.mark.parametrize(("build", "wanted"), CASES.values(), ids=CASES)
def test_rounded_where_targets_do(build: Any, wanted: list[str]) -> None:
    import keras

    keras.backend.clear_session()
    x = keras.Input((8, 8, 2), name="x")
    network = keras.Model(x, build(keras, keras.layers, x))
    assert sorted(_ranged(network)) == sorted(wanted)


def test_left_layers(saved: Any) -> None:
    import keras

    model, _ = saved("residual")
    network = keras.saving.load_model(model.path, compile=False)
    assert "separable" in _ranged(network)
    assert "separable" not in _ranged(network, "separable")


def test_integers_are_not_rounded(saved: Any) -> None:
    import keras

    model, _ = saved("tokens")
    assert "tokens" not in _ranged(keras.saving.load_model(model.path, compile=False))


def test_activations_come_back() -> None:
    import keras

    from taxiway.optimize.quantize.aware.network import Rounding

    x = keras.Input((4,))
    network = keras.Model(x, keras.layers.Dense(2)(keras.layers.Dense(3, "tanh", name="t")(x)))
    with Rounding(network, ()):
        assert network.get_layer("t").activation is keras.activations.linear
    assert network.get_layer("t").activation is keras.activations.tanh


def test_same_outputs_while_nothing_is_known(kind: str, saved: Any) -> None:
    """Ranges are empty at first and show what comes: the second graph is that of the first."""
    import keras

    from taxiway.optimize.quantize.aware.network import Rounding

    model, data = saved(kind)
    network = keras.saving.load_model(model.path, compile=False)
    size = 7 if kind == "fixed batch" else 4
    given = tuple(data.inputs[tensor.name][:size] for tensor in network.inputs)
    structure = (
        keras.tree.map_structure(
            lambda tensor: data.inputs[tensor.name][:size], network._inputs_struct
        )
        if hasattr(network, "_inputs_struct")
        else given[0]
    )
    if isinstance(structure, list) and len(structure) == 1:
        structure = structure[0]
    before = keras.tree.flatten(network(structure, training=False))
    with Rounding(network, ()) as rounding:
        after = keras.tree.flatten(rounding.call(given))
        names = [tensor.name for tensor in rounding.network.inputs]
    assert names == [tensor.name for tensor in network.inputs]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(np.asarray(other), np.asarray(one), rtol=1e-5, atol=1e-6)
