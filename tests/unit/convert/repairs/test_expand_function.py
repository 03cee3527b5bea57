"""Operators that ONNX defines by others, taken apart for onnx2tf."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from taxiway.convert.from_onnx.converters import converted_ops
from taxiway.convert.preflight_onnx_tflite import EXPANDED
from taxiway.convert.repairs.expand_function import REPAIR

pytestmark = pytest.mark.skipif(
    find_spec("onnx2tf") is None, reason="the repair knows what onnx2tf lacks"
)

FLOAT = TensorProto.FLOAT


def model_of(op: str, inputs: dict[str, list[int]], opset: int, **attributes: Any) -> Any:
    ends = [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()]
    y = helper.make_tensor_value_info("y", FLOAT, None)
    node = helper.make_node(op, [*inputs], ["y"], **attributes)
    graph = helper.make_graph([node], "g", ends, [y])
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


CASES = {
    "group normalization": model_of(
        "GroupNormalization", {"x": [2, 4, 3, 5], "s": [4], "b": [4]}, 21, num_groups=2
    ),
    "RMS normalization": model_of("RMSNormalization", {"x": [2, 3, 4], "s": [4]}, 23),
    "attention": model_of(
        "Attention", {"q": [1, 2, 4, 8], "k": [1, 2, 6, 8], "v": [1, 2, 6, 8]}, 23
    ),
}


def run(model: Any) -> Any:
    generator = np.random.default_rng(1)
    feed = {
        value.name: generator.standard_normal(
            [axis.dim_value for axis in value.type.tensor_type.shape.dim], np.float32
        )
        for value in model.graph.input
    }
    (y,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)
    return y


@pytest.mark.parametrize("model", CASES.values(), ids=CASES)
def test_the_result_computes_the_same_without_the_operator(model: Any) -> None:
    repaired = onnx.ModelProto.FromString(model.SerializeToString())
    assert REPAIR.applies(repaired) == REPAIR.apply(repaired) == 1
    assert REPAIR.applies(repaired) == 0
    assert {node.op_type for node in repaired.graph.node} <= converted_ops() | {"Constant"}
    np.testing.assert_allclose(run(repaired), run(model), rtol=1e-5, atol=1e-6)


def test_what_onnx2tf_has_is_left_alone() -> None:
    model = model_of("Gelu", {"x": [2, 3]}, 20)
    assert REPAIR.applies(model) == 0


def test_the_preflight_knows_what_can_be_expanded() -> None:
    """Each name of its list is a function in onnx, and none that onnx2tf has anyway."""
    assert not EXPANDED & converted_ops()
    for op in EXPANDED:
        schema = onnx.defs.get_schema(op)
        assert schema.has_function or schema.has_context_dependent_function, op
