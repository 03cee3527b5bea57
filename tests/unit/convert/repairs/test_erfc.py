"""`Erfc`, as tf2onnx leaves it."""

from __future__ import annotations

from math import erfc

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from taxiway.convert.repairs.erfc import REPAIR


def model_of(*nodes: onnx.NodeProto, dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, dtype, ["n", 2]) for name in ("x", "y")]
    graph = helper.make_graph(list(nodes), "g", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_erfc_becomes_one_minus_erf() -> None:
    model = model_of(helper.make_node("Erfc", ["x"], ["y"]))
    assert REPAIR.applies(model) == REPAIR.apply(model) == 1
    assert REPAIR.applies(model) == 0
    x = np.array([[-1.5, 0], [0.3, 2]], np.float32)
    (y,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(y, [[erfc(value) for value in row] for row in x], atol=1e-6)


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_the_dtype_is_kept(dtype: int) -> None:
    model = model_of(helper.make_node("Erfc", ["x"], ["y"]), dtype=dtype)
    REPAIR.apply(model)
    onnx.checker.check_model(model, full_check=True)


def test_branches_are_repaired_and_counted() -> None:
    inner = helper.make_graph(
        [helper.make_node("Erfc", ["x"], ["z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    model = model_of(helper.make_node("If", ["flag"], ["y"], then_branch=inner, else_branch=inner))
    assert REPAIR.applies(model) == REPAIR.apply(model) == 2
    assert REPAIR.applies(model) == 0


def test_another_model_stays_as_it_is() -> None:
    model = model_of(helper.make_node("Erf", ["x"], ["y"]))
    before = model.SerializeToString()
    assert REPAIR.applies(model) == 0
    assert REPAIR.apply(model) == 0
    assert model.SerializeToString() == before
