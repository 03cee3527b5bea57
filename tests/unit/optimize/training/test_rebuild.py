"""Networks of Keras 2 that are trained in Keras 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taxiway.errors import StepError
from taxiway.model.inspect import describe
from taxiway.model.load_keras import library_of, load_keras
from taxiway.model.runners import open_runner
from taxiway.optimize.training.network import load_network, save_network

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("file", ["vww/mobilenet_v1_025_96.h5", "ic/resnet8.h5"])
def test_models_of_mlperf_tiny(file: str, mlperf_tiny: Path, context) -> None:
    """They compute the same after they were rebuilt, or loaded, and saved as .keras."""
    model = describe(mlperf_tiny / file, "keras")
    network = load_network(model, context())
    assert library_of(network) == "keras" and network.trainable_weights
    result = save_network(network, model, context())
    (spec,) = model.signature.inputs
    x = np.random.default_rng(0).uniform(size=(3, *spec.shape[1:])).astype(np.float32)
    (old,), (new,) = (open_runner(m).predict({spec.name: x}).values() for m in (model, result))
    np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-6)


def old_network(keras: Any) -> Any:
    """Only tf_keras reads it: DepthwiseConv2D says `groups`. It has a branch and a nested network."""
    layers = keras.layers
    image = keras.Input((8, 8, 3), name="image")
    inner = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 3, name="c")], name="inner")
    x = layers.DepthwiseConv2D(3, name="depthwise")(image)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.Add()([inner(x), inner(layers.ReLU(max_value=6.0)(x))])
    return keras.Model(image, layers.Dense(2, name="fc")(layers.Flatten()(x)), name="old")


def test_an_old_network(tmp_path: Path, context) -> None:
    import tf_keras

    path = tmp_path / "old.h5"
    old_network(tf_keras).save(path)
    assert library_of(load_keras(path)) == "tf_keras"
    model = describe(path, "keras")
    result = save_network(load_network(model, context()), model, context())
    assert result.path.suffix == ".keras"
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    (old,), (new,) = (open_runner(m).predict({"image": x}).values() for m in (model, result))
    np.testing.assert_allclose(new, old, rtol=1e-4, atol=1e-5)


def test_a_layer_that_keras_3_has_not(tmp_path: Path, context) -> None:
    import tf_keras

    image = tf_keras.Input((8, 8, 3), name="image")
    x = tf_keras.layers.DepthwiseConv2D(3)(image)
    x = tf_keras.layers.LocallyConnected2D(2, 3, name="local")(x)
    tf_keras.Model(image, x).save(tmp_path / "old.h5")
    with pytest.raises(StepError, match="layer 'local' is a LocallyConnected2D"):
        load_network(describe(tmp_path / "old.h5", "keras"), context())
