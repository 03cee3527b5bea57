"""Clustering of ONNX weights: what is promised is in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.kept import broken
from taxiway.model.promises import Clusters, Sparsity
from taxiway.optimize.cluster.on_onnx import OnnxClusters
from taxiway.optimize.cluster.weights import ClusterWeightsConfig
from taxiway.plugins import Context


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """Two layers of eight inputs; half of the first one's weights are zero."""
    random = np.random.default_rng(0)
    first = (random.normal(size=(8, 12)) * (random.random((8, 12)) < 0.5)).astype(np.float32)
    constants = {"first": first, "second": random.normal(size=(12, 3)).astype(np.float32)}
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["a"], name="one"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Gemm", ["b", "second"], ["y"], name="two"),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", size))
        for name, size in (("x", 8), ("y", 3))
    )
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "m.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return describe(path, "onnx")


def _clustered(model: Model, tmp_path: Path, **options: Any) -> Model:
    (tmp_path / "out").mkdir()
    told: dict[str, Any] = {}
    context = Context(workdir=tmp_path / "out", tell=told.__setitem__)
    result = OnnxClusters().run(model, ClusterWeightsConfig(**options), context)
    assert set(told["clusters"]) == {promise.weight for promise in result.promises}
    return result


def _values(model: Model) -> dict[str, Any]:
    proto = onnx.load(str(model.path))
    return {item.name: numpy_helper.to_array(item) for item in proto.graph.initializer}


def test_values_are_few_and_promised(model: Model, tmp_path: Path) -> None:
    result = _clustered(model, tmp_path, clusters=5)
    assert result.promises == (
        Clusters(weight="first", size=96, count=5),
        Clusters(weight="second", size=36, count=5),
    )
    assert not broken(result.promises, result)
    assert {name: np.unique(value).size for name, value in _values(result).items()} == {
        "first": 5,
        "second": 5,
    }


@pytest.mark.parametrize("promised", [True, False], ids=["pruned", "preserve_sparsity"])
def test_zeros_stay(model: Model, tmp_path: Path, promised: bool) -> None:
    zeros = int(np.count_nonzero(_values(model)["first"] == 0))
    if promised:
        promise = Sparsity(weight="first", size=96, share=zeros / 96)
        model = msgspec.structs.replace(model, promises=(promise,))
    result = _clustered(model, tmp_path, clusters=4, preserve_sparsity=not promised)
    after = _values(result)["first"]
    assert np.count_nonzero(after == 0) == zeros
    assert np.unique(after).size == 4


@pytest.mark.parametrize(
    ("options", "clustered"),
    [
        ({"only": ("two",)}, ["second"]),
        ({"exclude": ("Gemm",)}, ["first"]),
        ({"exclude": ("t.*",)}, ["first"]),
    ],
    ids=["only-name", "exclude-type", "exclude-expression"],
)
def test_chosen_operators(
    model: Model, tmp_path: Path, options: dict[str, Any], clustered: list[str]
) -> None:
    before, result = _values(model), _clustered(model, tmp_path, **options)
    assert [promise.weight for promise in result.promises] == clustered
    for name in {*before} - {*clustered}:
        np.testing.assert_array_equal(_values(result)[name], before[name])


def test_nothing_left(model: Model, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="nothing to cluster"):
        _clustered(model, tmp_path, exclude=("one", "two"))


def test_unknown_operator(model: Model, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no operator is called 'three'"):
        _clustered(model, tmp_path, only=("three",))


def test_nan_is_named(model: Model, tmp_path: Path) -> None:
    proto = onnx.load(str(model.path))
    values = numpy_helper.to_array(proto.graph.initializer[1]).copy()
    values[3, 1] = np.nan
    proto.graph.initializer[1].CopyFrom(numpy_helper.from_array(values, "second"))
    onnx.save(proto, str(model.path))
    with pytest.raises(StepError, match="'second' is not finite"):
        _clustered(model, tmp_path)


def test_training_is_refused() -> None:
    options = msgspec.convert({"training": {"epochs": 2}}, ClusterWeightsConfig)
    with pytest.raises(ValueError, match="training works on keras only"):
        OnnxClusters().check(options)
