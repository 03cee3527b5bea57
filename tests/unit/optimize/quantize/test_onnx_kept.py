"""Operators of an ONNX graph that are kept with 8-bit weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from taxiway.model import Model
from taxiway.model.runners import open_runner

PASSES = ["quantize_static", "quantize_dynamic", "quantize_weights", "quantize_int16", "float16"]


@pytest.mark.parametrize("name", PASSES)
def test_its_weights_have_8_bits_and_it_computes_in_float(
    name: str, onnx_mlp: Model, data: Any, optimize: Any, accuracy: Any
) -> None:
    """Static quantization calls the dense layer by the name of its MatMul."""
    first = onnx.load(onnx_mlp.path).graph.node[0].name or "MatMul_0"
    made = optimize(onnx_mlp, name, data, keep={first: "int8_weights"})
    graph = onnx.load(made.path).graph
    stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    (codes,) = [t for n, t in stored.items() if n.startswith("w0") and t.dtype == np.int8]
    assert codes.shape == (64, 32)
    floats = [t.name for t in graph.initializer if t.data_type == TensorProto.FLOAT]
    assert "w0" not in floats
    kinds = {node.name: node.op_type for node in graph.node}
    assert kinds[first] in ("MatMul", "Gemm")
    assert accuracy(made) == pytest.approx(accuracy(onnx_mlp), abs=0.015)


def test_only_its_weights_are_rounded(onnx_mlp: Model, data: Any, optimize: Any) -> None:
    """The values are those of weights of 8 bits, a scale per output channel, and nothing else."""
    made = optimize(
        onnx_mlp, "quantize_weights", data, keep={"MatMul": "int8_weights"}, only=["MatMul"]
    )
    rows = data.inputs["pixels"][:50]
    (found,) = open_runner(made).predict({"pixels": rows}).values()
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(onnx_mlp.path).graph.initializer}
    for name in ("w0", "w1"):
        scale = np.abs(weights[name]).max(0) / 127
        weights[name] = np.rint(weights[name] / scale) * scale
    hidden = np.maximum(rows @ weights["w0"] + weights["b0"], 0)
    assert found == pytest.approx(hidden @ weights["w1"] + weights["b1"], abs=1e-4)
