"""Graphs of 64-bit reals, computed in 32 bits."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from taxiway.convert.repairs.float64_compute import REPAIR


def model_of(dtype: int) -> onnx.ModelProto:
    """y = (x cast to `dtype`) * w + c, where c stands in a Constant node."""
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    weights = numpy_helper.from_array(np.array([0.1, -2, 3], kind), "w")
    constant = numpy_helper.from_array(np.array([1, np.inf, np.finfo(kind).min], kind))
    nodes = [
        helper.make_node("Cast", ["x"], ["a"], to=dtype),
        helper.make_node("Mul", ["a", "w"], ["b"]),
        helper.make_node("Constant", [], ["c"], value=constant),
        helper.make_node("Add", ["b", "c"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.INT32, [3])
    y = helper.make_tensor_value_info("y", dtype, [3])
    graph = helper.make_graph(nodes, "g", [x], [y], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: onnx.ModelProto) -> np.ndarray:
    feed = {"x": np.array([1, 2, 0], np.int32)}
    (y,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)
    return y


def test_the_numbers_stay_and_the_type_goes() -> None:
    model = model_of(TensorProto.DOUBLE)
    before = run(model)
    assert REPAIR.applies(model) == REPAIR.apply(model) == 4
    assert REPAIR.applies(model) == 0
    onnx.checker.check_model(model, full_check=True)
    after = run(model)
    assert after.dtype == np.float32
    np.testing.assert_allclose(after[:2], before[:2].astype(np.float32), rtol=1e-3)
    # The lowest number, with which exporters mask, stays a number.
    assert np.isfinite(after[2]) and after[2] < -6e4


def test_a_float32_graph_is_left_alone() -> None:
    assert REPAIR.applies(model_of(TensorProto.FLOAT)) == 0
