"""Batch normalizations of an ONNX graph: folded where nothing else sees the difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.optimize.cluster.onnx_fold import fold_batch_norm

RANDOM = np.random.default_rng(0)
IMAGE = ("batch", 3, 6, 6)


def _array(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def _norm(x: str, channels: int, output: str = "y") -> tuple[Any, dict[str, Any]]:
    node = helper.make_node(
        "BatchNormalization", [x, "gamma", "beta", "mean", "variance"], [output], epsilon=1e-3
    )
    figures = {name: _array(channels) for name in ("gamma", "beta", "mean")}
    return node, {**figures, "variance": np.abs(_array(channels)) + 0.1}


def _model(
    nodes: list[Any], constants: dict[str, Any], shape: Any = IMAGE, ends: Any = ("y",)
) -> Any:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    axes = [None] * len(shape)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name in ends]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _one(
    kind: str, weight: Any, channels: int, shape: Any = IMAGE, bias: bool = True, **more: Any
) -> Any:
    norm, constants = _norm("c", channels)
    inputs = ["x", "w", *(["b"] if bias else [])]
    node = helper.make_node(kind, inputs, ["c"], **more)
    biases = {"b": _array(channels)} if bias else {}
    return _model([node, norm], {"w": weight, **biases, **constants}, shape)


CASES = {
    "conv": _one("Conv", _array(5, 3, 2, 2), 5),
    "conv-without-bias": _one("Conv", _array(5, 3, 2, 2), 5, bias=False),
    "depthwise": _one("Conv", _array(6, 1, 2, 2), 6, group=3),
    "transposed": _one("ConvTranspose", _array(3, 5, 2, 2), 5),
    "gemm": _one("Gemm", _array(4, 5), 5, ("batch", 4)),
    "gemm-transposed": _one("Gemm", _array(5, 4), 5, ("batch", 4), transB=1),
}


def _two_readers() -> Any:
    norm, constants = _norm("c", 5, "n")
    conv = helper.make_node("Conv", ["x", "w"], ["c"])
    add = helper.make_node("Add", ["c", "n"], ["y"])
    return _model([conv, norm, add], {"w": _array(5, 3, 2, 2), **constants})


def _is_output() -> Any:
    norm, constants = _norm("c", 5)
    conv = helper.make_node("Conv", ["x", "w"], ["c"])
    return _model([conv, norm], {"w": _array(5, 3, 2, 2), **constants}, ends=("y", "c"))


def _weight_shared() -> Any:
    norm, constants = _norm("c", 3, "n")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        norm,
        helper.make_node("Conv", ["n", "w"], ["y"]),
    ]
    return _model(nodes, {"w": _array(3, 3, 2, 2), **constants})


LEFT = {
    "two-readers": _two_readers(),
    "is-output": _is_output(),
    "weight-shared": _weight_shared(),
    "transposed-in-groups": _one(
        "ConvTranspose", _array(6, 2, 2, 2), 6, ("batch", 6, 4, 4), group=3
    ),
    "gemm-scaled": _one("Gemm", _array(4, 5), 5, ("batch", 4), alpha=0.5),
}


def _run(proto: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    shape = [2 if isinstance(n, str) else n for n in session.get_inputs()[0].shape]
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    return list(session.run(None, {"x": x}))


@pytest.mark.parametrize(
    ("proto", "folded"),
    [*((case, 1) for case in CASES.values()), *((case, 0) for case in LEFT.values())],
    ids=[*CASES, *LEFT],
)
def test_fold(proto: Any, folded: int) -> None:
    before = _run(proto)
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    assert fold_batch_norm(changed) == folded
    onnx.checker.check_model(changed, full_check=True)
    norms = [node for node in changed.graph.node if node.op_type == "BatchNormalization"]
    assert len(norms) == 1 - folded
    for one, other in zip(before, _run(changed), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-4)
