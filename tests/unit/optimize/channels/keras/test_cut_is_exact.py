"""Keras networks of many kinds: what can be cut, and that a network without channels gives what the whole one
gives where nobody listens to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow
Array = np.ndarray[Any, Any]


def networks() -> dict[str, Callable[[], tuple[Any, int]]]:
    """Kind -> a network and the number of channels that can be cut of it."""
    import keras
    from keras import layers as kl

    def image(*shape: int | None) -> Any:
        return keras.Input(shape or (8, 8, 2), name="image")

    def lenet() -> tuple[Any, int]:
        x = kl.Conv2D(6, 3, activation="relu")(inputs := image())
        x = kl.Flatten()(kl.MaxPooling2D()(x))
        x = kl.Dropout(0.3)(kl.Dense(5, activation="relu")(x))
        return keras.Model(inputs, kl.Dense(3)(x)), 11

    def residual() -> tuple[Any, int]:
        """The sum ties conv1 and conv3; conv2 is free."""
        x = kl.Conv2D(6, 3, padding="same", use_bias=False, name="conv1")(inputs := image())
        x = kl.ReLU()(kl.BatchNormalization()(x))
        y = kl.Conv2D(5, 3, padding="same", name="conv2")(x)
        y = kl.Conv2D(6, 3, padding="same", name="conv3")(kl.BatchNormalization()(y))
        x = kl.GlobalAveragePooling2D()(kl.Add()([x, kl.BatchNormalization()(y)]))
        return keras.Model(inputs, kl.Dense(3)(x)), 11

    def separable() -> tuple[Any, int]:
        x = kl.Conv2D(6, 3, strides=2, padding="same")(inputs := image())
        x = kl.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
        x = kl.SeparableConv2D(4, 3, padding="same", activation="relu", depth_multiplier=2)(x)
        x = kl.Conv2D(8, 3, groups=4)(kl.ZeroPadding2D()(x))
        return keras.Model(inputs, kl.Dense(3)(kl.GlobalMaxPooling2D(keepdims=True)(x))), 10

    def nested() -> tuple[Any, int]:
        """A backbone that is a model of its own, called twice; a Sequential inside of it."""
        block = keras.Sequential(
            [kl.Conv2D(6, 3, padding="same"), kl.BatchNormalization()], name="block"
        )
        within = keras.Input((8, 8, 2))
        body = keras.Model(within, kl.Conv2D(5, 1)(block(within)), name="body")
        one, two = image(), keras.Input((8, 8, 2), name="other")
        x = kl.Concatenate()([body(one), kl.ReLU()(body(two))])
        return keras.Model([one, two], kl.Dense(3)(kl.GlobalAveragePooling2D()(x))), 11

    def passed() -> tuple[Any, int]:
        """A nested network without weights, called with channels of two layers; and one of an input."""
        within = keras.Input((6,))
        act = keras.Model(within, kl.ReLU()(within), name="act")
        head = keras.Sequential([keras.Input((6,)), kl.Dense(4), kl.Dense(3)], name="head")
        inputs = keras.Input((6,), name="vector")
        one, two = act(kl.Dense(6, name="one")(inputs)), act(kl.Dense(6, name="two")(inputs))
        return keras.Model(inputs, [kl.Dense(2)(one), head(two)]), 10

    def shared() -> tuple[Any, int]:
        layer = kl.Dense(6, activation="tanh", name="shared")
        x = layer(kl.Dense(6, name="first")(inputs := keras.Input((6,), name="vector")))
        return keras.Model(inputs, kl.Dense(2)(layer(x))), 6

    def branches() -> tuple[Any, int]:
        """Two inputs, two outputs, a concatenation, a gate, and `+` and `*` as operators."""
        one, two = image(), keras.Input((4,), name="vector")
        x, y = kl.Conv2D(4, 3, padding="same")(one), kl.Conv2D(3, 1)(one)
        x = kl.Concatenate()([x, y])
        gate = kl.Dense(7, activation="sigmoid")(kl.Dense(5)(two))
        x = x * kl.Reshape((1, 1, 7))(gate) + 1.0
        z = kl.GlobalAveragePooling2D()(x)
        outputs = {"class": kl.Dense(3, activation="softmax")(z), "map": kl.Conv2D(1, 3)(x)}
        return keras.Model([one, two], outputs), 12

    def steps() -> tuple[Any, int]:
        inputs = keras.Input((10, 3), name="steps")
        x = kl.Conv1D(6, 3, activation="relu")(inputs)
        x = kl.Bidirectional(kl.LSTM(4, return_sequences=True))(kl.MaxPooling1D()(x))
        x = kl.GRU(4)(kl.Conv1D(5, 1)(x))
        return keras.Model(inputs, kl.Dense(2)(x)), 11

    def generator() -> tuple[Any, int]:
        inputs = keras.Input((4,), name="noise")
        x = kl.Reshape((4, 4, 6))(kl.Dense(96)(inputs))
        x = kl.LeakyReLU()(kl.Conv2DTranspose(5, 3, strides=2, padding="same")(x))
        x = kl.PReLU(shared_axes=[1, 2])(kl.Conv2D(4, 3, padding="same")(x))
        return keras.Model(inputs, kl.Conv2D(1, 3)(kl.UpSampling2D()(x))), 9

    def reshaped() -> tuple[Any, int]:
        x = kl.Conv2D(6, 3, padding="same")(inputs := image())
        x = kl.Permute((2, 1))(kl.Reshape((64, 6))(x))
        x = kl.Permute((2, 1))(x)
        return keras.Model(inputs, kl.Dense(2)(kl.GlobalAveragePooling1D()(x))), 6

    def operations() -> tuple[Any, int]:
        x = kl.Conv2D(6, 3)(inputs := image())
        x = keras.ops.relu(x)
        x = keras.ops.mean(x, axis=(1, 2))
        return keras.Model(inputs, kl.Dense(2)(keras.ops.square(x))), 6

    def free() -> tuple[Any, int]:
        x = kl.Conv2D(6, 3, strides=2)(inputs := image(None, None, 2))
        x = kl.GlobalAveragePooling2D()(kl.Conv2D(4, 3)(x))
        return keras.Model(inputs, kl.Dense(2)(x)), 10

    def normalized() -> tuple[Any, int]:
        """A layer normalization over channels keeps them, a group normalization, too."""
        x = kl.LayerNormalization()(kl.Conv2D(6, 3)(inputs := image()))
        x = kl.GroupNormalization(2)(kl.Conv2D(4, 3)(x))
        x = kl.Conv2D(5, 1)(x)
        return keras.Model(inputs, kl.Dense(2)(kl.GlobalAveragePooling2D()(x))), 5

    kinds = (passed, lenet, residual, separable, nested, shared, branches, steps, generator)
    return {kind.__name__: kind for kind in (*kinds, reshaped, operations, free, normalized)}


KINDS = (
    "passed",
    *("lenet", "residual", "separable", "nested", "shared", "branches", "steps", "generator"),
    *("reshaped", "operations", "free", "normalized"),
)


def randomized(network: Any, seed: int) -> Any:
    """Every weight at random: batch statistics and biases, too."""
    random = np.random.default_rng(seed)
    for weight in network.weights:
        name = weight.path.rpartition("/")[2]
        values = random.normal(size=weight.shape) * 0.5
        weight.assign(np.abs(values) + 0.5 if "variance" in name else values)
    return network


@pytest.mark.parametrize("kind", KINDS)
def test_channels_that_nobody_takes_in(kind: str, drawn: Any) -> None:
    from taxiway.optimize.channels.config import PruneChannelsConfig
    from taxiway.optimize.channels.examples import examples
    from taxiway.optimize.channels.keras.prune import KerasNetwork

    made, channels = networks()[kind]()
    whole = KerasNetwork(randomized(made, 3), kind, PruneChannelsConfig())
    graph = whole.trace((), ())
    assert graph.channels == channels, dict(graph.protected)
    before = [np.array(weight.value) for weight in made.weights]
    for seed in range(2):
        cut = drawn(graph, seed)
        assert seed or cut.any()
        pruned = whole.without(graph, cut)
        inputs = next(examples(whole.signature, seed))
        found, expected = pruned.outputs(inputs), whole.muted_outputs(graph, cut, inputs)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4 * max(1, np.abs(other).max()))
        assert pruned.network.count_params() == graph.parameters(cut)
        assert pruned.signature == whole.signature
    # The whole network is as it was.
    for weight, value in zip(made.weights, before, strict=True):
        np.testing.assert_array_equal(weight.value, value)


def test_macs_of_free_sizes_follow_the_strides() -> None:
    from taxiway.optimize.channels.keras.trace import trace

    graph = trace(networks()["free"]()[0])
    by_name = {layer.type: layer.positions for layer in graph.layers if layer.type == "Dense"}
    first, second, _ = graph.layers
    assert by_name == {"Dense": 1}
    assert (first.positions, second.positions) == (111**2, 109**2)


def test_batch_normalization_scales_the_importance() -> None:
    """Filters that a normalization makes small matter little, whatever their weights."""
    import keras
    from keras import layers as kl

    from taxiway.optimize.channels.config import PruneChannelsConfig
    from taxiway.optimize.channels.importance import by_weights
    from taxiway.optimize.channels.keras.prune import KerasNetwork

    inputs = keras.Input((4, 4, 1))
    x = kl.BatchNormalization(name="bn")(kl.Conv2D(3, 1, kernel_initializer="ones")(inputs))
    made = keras.Model(inputs, kl.Dense(1)(kl.GlobalAveragePooling2D()(x)))
    made.get_layer("bn").gamma.assign([4.0, 1.0, 2.0])
    network = KerasNetwork(made, "bn", PruneChannelsConfig())
    graph = network.trace((), ())
    (group,) = graph.groups
    scores = by_weights(graph, network.read)[group.channels]
    np.testing.assert_allclose(scores / scores[1], [4, 1, 2], rtol=1e-5)


def test_a_layer_of_somebody_else_keeps_its_channels() -> None:
    """It has the name of one of Keras's, and does something else."""
    import keras
    from keras import layers as kl

    from taxiway.optimize.channels.keras.trace import trace

    class ReLU(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return keras.ops.flip(x, axis=-1)

    inputs = keras.Input((4,))
    graph = trace(keras.Model(inputs, kl.Dense(2)(ReLU()(kl.Dense(6, name="first")(inputs)))))
    assert graph.channels == 0
    assert "not followed through" in graph.protected["first"]
