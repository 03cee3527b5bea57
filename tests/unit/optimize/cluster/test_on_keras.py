"""Clustering of Keras networks of many kinds: few values after the training, zeros where they were."""

from __future__ import annotations

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

pytestmark = pytest.mark.slow


def _options(**more: Any) -> ClusterWeightsConfig:
    given = {"clusters": 6, "training": {"epochs": 1, "learning_rate": 0.01}, **more}
    return msgspec.convert(given, ClusterWeightsConfig)


def test_every_kernel_has_few_values(kind: str, saved: Any, context: Any) -> None:
    model, data = saved(kind)
    result = KerasClusters().run(model, _options(training={"epochs": 0}), context(data))
    found = {weight.name: weight for weight in stored_weights(result)}
    promised = {item.weight: item for item in result.promises if isinstance(item, Clusters)}
    kernels = [name for name in found if name.rpartition("/")[2].split("#")[0].endswith("kernel")]
    assert kernels and set(kernels) <= set(promised)
    assert not broken(result.promises, result)
    for name, promise in promised.items():
        assert 1 < promise.count <= 6
        assert found[name].distinct() == promise.count
    assert all(name.rpartition("/")[2] != "bias" for name in promised)


def test_values_are_trained(saved: Any, context: Any) -> None:
    """The shared values move; which elements share one does not change."""
    model, data = saved("logits")
    once = KerasClusters().run(model, _options(training={"epochs": 0}), context(data, "once"))
    more = KerasClusters().run(model, _options(), context(data, "more"))
    one, other = (
        next(w.values for w in stored_weights(result) if w.name == "hidden/kernel")
        for result in (once, more)
    )
    assert not np.allclose(one, other)
    groups = {(a, b) for a, b in zip(one.ravel(), other.ravel(), strict=True)}
    assert len(groups) == np.unique(one).size


@pytest.mark.parametrize("promised", [True, False], ids=["pruned", "preserve_sparsity"])
def test_zeros_stay_zeros(saved: Any, context: Any, promised: bool) -> None:
    import keras

    model, data = saved("residual")
    network = keras.saving.load_model(model.path, compile=False)
    kernel = network.get_layer("fc").kernel
    mask = np.random.default_rng(0).random(kernel.shape) < 0.5
    kernel.assign(np.where(mask, 0, np.asarray(kernel)))
    network.save(model.path)
    if promised:
        share = float(np.mean(mask))
        promise = Sparsity(weight=kernel.path, size=mask.size, share=share)
        model = msgspec.structs.replace(model, promises=(promise,))
    result = KerasClusters().run(model, _options(preserve_sparsity=not promised), context(data))
    after = next(w.values for w in stored_weights(result) if w.name == kernel.path)
    np.testing.assert_array_equal(after == 0, mask)
    assert not broken(result.promises, result)


def test_normalizations_are_folded_first(saved: Any, context: Any) -> None:
    model, data = saved("residual")
    result = KerasClusters().run(model, _options(), context(data))
    assert not any("bn1" in weight.name for weight in stored_weights(result))


@pytest.mark.parametrize(
    ("options", "clustered"),
    [
        ({"only": ["fc"]}, {"fc/kernel"}),
        ({"exclude": ["hidden", "size"]}, {"class/kernel"}),
        ({"only": ["Dense"], "exclude": ["(class|size)"]}, {"hidden/kernel"}),
    ],
    ids=["only", "exclude", "both"],
)
def test_chosen_layers(saved: Any, context: Any, options: Any, clustered: set[str]) -> None:
    model, data = saved("logits" if "fc/kernel" in clustered else "two inputs, two outputs")
    result = KerasClusters().run(model, _options(**options), context(data))
    assert {promise.weight for promise in result.promises} == clustered


def test_unknown_layer(saved: Any, context: Any) -> None:
    model, data = saved("logits")
    with pytest.raises(StepError, match="no operator is called 'hiden'"):
        KerasClusters().run(model, _options(only=["hiden"]), context(data))
