"""The precision of a model is read from its content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.model.inspect import describe
from taxiway.parity.precision import precision_of

FLOAT, HALF, BRAIN = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16


def _write(path: Path, nodes: list[Any], weights: list[Any], output: int = FLOAT) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", output, ["n", 4])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    return path


def _weight(kind: Any, name: str = "w") -> Any:
    return numpy_helper.from_array(np.ones((4, 4), kind), name)


def _matmul() -> list[Any]:
    return [helper.make_node("MatMul", ["x", "w"], ["y"])]


def _cast(kind: int) -> list[Any]:
    return [
        helper.make_node("Cast", ["x"], ["h"], to=kind),
        helper.make_node("Cast", ["h"], ["y"], to=FLOAT),
    ]


def _quantized(zero: Any) -> tuple[list[Any], list[Any]]:
    weights = [numpy_helper.from_array(np.float32(0.1), "s"), numpy_helper.from_array(zero, "z")]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    return nodes, weights


def _in_a_branch() -> list[Any]:
    value = helper.make_tensor_value_info("b", HALF, ["n", 4])
    cast = helper.make_node("Cast", ["x"], ["b"], to=HALF)
    body = [helper.make_graph([cast], name, [], [value]) for name in ("then", "else")]
    return [
        helper.make_node("If", ["c"], ["i"], then_branch=body[0], else_branch=body[1]),
        helper.make_node("Cast", ["i"], ["y"], to=FLOAT),
    ]


@pytest.mark.parametrize(
    ("expected", "nodes", "weights"),
    [
        pytest.param("fp32", _matmul(), [_weight(np.float32)], id="float32"),
        pytest.param("fp16", _cast(HALF), [], id="cast to float16"),
        pytest.param("bf16", _cast(BRAIN), [], id="cast to bfloat16"),
        pytest.param("fp32", _cast(TensorProto.INT32), [], id="cast to int32"),
        pytest.param("int8", *_quantized(np.int8(0)), id="QDQ int8"),
        pytest.param("int8", *_quantized(np.uint8(0)), id="QDQ uint8"),
        pytest.param("int16", *_quantized(np.uint16(0)), id="QDQ uint16"),
        pytest.param(
            "fp16",
            _in_a_branch(),
            [numpy_helper.from_array(np.bool_(True), "c")],
            id="in a branch of an If",
        ),
    ],
)
def test_onnx(tmp_path: Path, expected: str, nodes: list[Any], weights: list[Any]) -> None:
    path = _write(tmp_path / "m.onnx", nodes, weights)
    assert precision_of(describe(path, "onnx")) == expected


def test_float16_weights_alone(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["w"], ["f"], to=FLOAT),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    path = _write(tmp_path / "m.onnx", nodes, [_weight(np.float16)])
    assert precision_of(describe(path, "onnx")) == "fp16"


def test_external_data_is_not_read(tmp_path: Path) -> None:
    path = _write(tmp_path / "m.onnx", _matmul(), [_weight(np.float16)])
    model = onnx.load(str(path))
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    found = describe(path, "onnx")
    (tmp_path / "w.bin").unlink()
    assert precision_of(found) == "fp16"
