"""Inputs without axes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from taxiway.convert.repairs.scalar_input import REPAIR


def model_of(shape: list[int]) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])
    k = helper.make_tensor_value_info("k", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])
    graph = helper.make_graph([helper.make_node("Mul", ["x", "k"], ["y"])], "g", [x, k], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_scalar_input_gets_an_axis_and_the_numbers_stay() -> None:
    model = model_of([])
    assert REPAIR.applies(model) == REPAIR.apply(model) == 1
    assert REPAIR.applies(model) == 0
    onnx.checker.check_model(model, full_check=True)
    feed = {"x": np.array([1, 2, 3], np.float32), "k": np.array([0.5], np.float32)}
    (y,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)
    np.testing.assert_array_equal(y, np.array([0.5, 1, 1.5], np.float32))


def test_a_vector_is_left_alone() -> None:
    assert REPAIR.applies(model_of([1])) == 0
