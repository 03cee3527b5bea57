"""The package's own tests: Taxiway's contract, and what this pass promises beyond it."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from taxiway_sample.round_weights import keep_bits

from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.testing import PassContract


def linear(path: Path) -> Model:
    """y = x @ w + b, with 64 x 32 random weights."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    weights = {"w": random.normal(size=(64, 32)), "b": random.normal(size=32)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Add", ["z", "b"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "linear",
        [value("x", TensorProto.FLOAT, ["batch", 64])],
        [value("y", TensorProto.FLOAT, ["batch", 32])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    path.parent.mkdir()
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return describe(path, "onnx")


class TestRoundWeights(PassContract):
    name = "round_weights"
    options = [{}, {"mantissa_bits": 4}]
    refused = [{"mantissa_bits": 0}, {"mantissa_bits": 23}, {"mantissa_bits": "few"}]

    @pytest.fixture
    def model(self, tmp_path: Path) -> Model:
        return linear(tmp_path / "source" / "linear.onnx")

    def test_compresses(self, model: Model, result: Model) -> None:
        before, after = (len(zlib.compress(m.path.read_bytes())) for m in (model, result))
        assert after < 0.8 * before


@pytest.mark.parametrize("bits", [1, 4, 8, 22])
def test_error_is_half_a_unit(bits: int) -> None:
    values = np.random.default_rng(1).normal(size=1000).astype(np.float32)
    relative = np.abs(keep_bits(values, bits) - values) / np.abs(values)
    assert relative.max() <= 2.0 ** -(bits + 1)


def test_special_values_stay() -> None:
    values = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, np.finfo(np.float32).max], np.float32
    )
    assert keep_bits(values, 3).tobytes() == values.tobytes()
