"""Quantization-aware training of many kinds of networks: weights on the grid, earlier promises kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from taxiway.errors import StepError
from taxiway.model.kept import broken
from taxiway.model.promises import Clusters, Sparsity
from taxiway.model.weights import stored_weights
from taxiway.optimize.cluster.on_keras import KerasClusters
from taxiway.optimize.cluster.weights import ClusterWeightsConfig
from taxiway.optimize.quantize.aware.training import (
    QuantizeAwareTraining,
    QuantizeAwareTrainingConfig,
)

pytestmark = pytest.mark.slow


def _options(**more: Any) -> QuantizeAwareTrainingConfig:
    given = {"training": {"epochs": 1, "learning_rate": 0.003}, **more}
    return msgspec.convert(given, QuantizeAwareTrainingConfig)


def test_weights_end_on_the_grid(kind: str, saved: Any, context: Any) -> None:
    model, data = saved(kind)
    result = QuantizeAwareTraining().run(model, _options(granularity="per_tensor"), context(data))
    weights = [weight for weight in stored_weights(result) if weight.name.endswith("kernel")]
    assert weights
    for weight in weights:
        stored = weight.values / (np.abs(weight.values).max() / 127)
        np.testing.assert_allclose(stored, np.rint(stored), atol=1e-3)
    assert result.signature == model.signature


def test_a_scale_for_each_channel(saved: Any, context: Any) -> None:
    model, data = saved("residual")
    result = QuantizeAwareTraining().run(model, _options(), context(data))
    weights = {weight.name: weight.values for weight in stored_weights(result)}
    for name, axes in {"conv1/kernel": (0, 1, 2), "depthwise/kernel": (0, 1)}.items():
        stored = weights[name] / (np.abs(weights[name]).max(axis=axes, keepdims=True) / 127)
        np.testing.assert_allclose(stored, np.rint(stored), atol=1e-3)


def test_zeros_and_shared_values_are_kept(saved: Any, context: Any) -> None:
    import keras

    model, data = saved("residual")
    network = keras.saving.load_model(model.path, compile=False)
    kernel = network.get_layer("fc").kernel
    mask = np.random.default_rng(0).random(kernel.shape) < 0.5
    kernel.assign(np.where(mask, 0, np.asarray(kernel)))
    network.save(model.path)
    promise = Sparsity(weight=kernel.path, size=mask.size, share=float(np.mean(mask)))
    model = msgspec.structs.replace(model, promises=(promise,))
    clusters = msgspec.convert({"clusters": 5, "training": {"epochs": 0}}, ClusterWeightsConfig)
    clustered = KerasClusters().run(model, clusters, context(data, "clustered"))
    result = QuantizeAwareTraining().run(clustered, _options(), context(data, "trained"))
    assert result.promises == clustered.promises
    found = {weight.name: weight for weight in stored_weights(result)}
    for item in result.promises:
        if isinstance(item, Clusters):
            assert found[item.weight].distinct() == item.count
    assert not broken(result.promises, result)
    before, after = (
        {weight.name: weight.values for weight in stored_weights(item)}
        for item in (clustered, result)
    )
    np.testing.assert_array_equal(after[kernel.path] == 0, mask)
    assert not np.allclose(after["conv1/kernel"], before["conv1/kernel"])


def test_a_scale_for_each_channel_would_break_clusters(saved: Any, context: Any) -> None:
    model, data = saved("logits")
    promise = Clusters(weight="fc/kernel", size=48, count=48)
    model = msgspec.structs.replace(model, promises=(promise,))
    with pytest.raises(StepError, match="more values than the earlier clustering"):
        QuantizeAwareTraining().run(model, _options(granularity="per_channel"), context(data))


def test_left_out_layers_are_not_rounded(saved: Any, context: Any) -> None:
    model, data = saved("logits")
    options = _options(exclude=["hidden"], granularity="per_tensor")
    result = QuantizeAwareTraining().run(model, options, context(data))
    weights = {weight.name: weight.values for weight in stored_weights(result)}
    for name, on_grid in {"fc/kernel": True, "hidden/kernel": False}.items():
        stored = weights[name] / (np.abs(weights[name]).max() / 127)
        assert np.allclose(stored, np.rint(stored), atol=1e-3) == on_grid


def test_the_same_bytes_twice(saved: Any, context: Any) -> None:
    model, data = saved("residual")
    made = [
        QuantizeAwareTraining().run(model, _options(), context(data, folder)).path.read_bytes()
        for folder in ("one", "two")
    ]
    assert made[0] == made[1]


def test_without_epochs_it_is_refused() -> None:
    with pytest.raises(ValueError, match="epochs is 0"):
        QuantizeAwareTraining().check(_options(training={"epochs": 0}))


def test_nothing_to_quantize(tmp_path: Path, table: Any, context: Any) -> None:
    import keras

    from taxiway.model.inspect import describe

    x = keras.Input((4,), name="x")
    keras.Model(x, keras.layers.LayerNormalization()(x)).save(tmp_path / "m.keras")
    data = table({"x": np.zeros((8, 4), np.float32)}, np.zeros(8, np.int64))
    with pytest.raises(StepError, match="no layer with a kernel"):
        QuantizeAwareTraining().run(
            describe(tmp_path / "m.keras", "keras"), _options(), context(data)
        )
