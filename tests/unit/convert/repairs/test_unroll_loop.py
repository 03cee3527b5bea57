"""Loops of a known number of passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.convert.repairs.unroll_loop import LIMIT, REPAIR

REAL, WHOLE, TRUTH = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
node, value = helper.make_node, helper.make_tensor_value_info


def model(bound: Any, start: bool = True, data: bool = False) -> Any:
    """Sums rows of x while the count is below `bound`; gives the sum, and each partial sum.

    bound: a number, or the axis of x that gives it. data: the condition depends on x's values.
    """
    constants = {"zero": np.array(0), "one": np.array(1), "start": np.array(start)}
    outer = [node("Shape", ["x"], ["shape"]), node("Gather", ["shape", "axis"], ["bound"])]
    if isinstance(bound, str):
        constants["axis"] = np.array(int(bound))
    else:
        outer, constants["bound"] = [], np.array(bound)
    condition = [node("Less", ["next", "bound"], ["go"])]
    if data:
        condition = [
            node("ReduceSum", ["after"], ["total"], keepdims=0),
            node("Less", ["total", "large"], ["go"]),
        ]
        constants["large"] = np.float32(3)
    body = helper.make_graph(
        [
            node("Add", ["count", "one"], ["next"]),
            node("Gather", ["x", "count"], ["row"], axis=1),
            node("Add", ["before", "row"], ["after"]),
            *condition,
            node("Identity", ["after"], ["partial"]),
        ],
        "body",
        [
            *(value("i", WHOLE, []), value("going", TRUTH, []), value("count", WHOLE, [])),
            value("before", REAL, ["n"]),
        ],
        [
            *(value("go", TRUTH, []), value("next", WHOLE, []), value("after", REAL, ["n"])),
            value("partial", REAL, ["n"]),
        ],
    )
    loop = node("Loop", ["", "start", "zero", "first"], ["end", "sum", "sums"], body=body)
    first = node("Gather", ["x", "zero"], ["first"], axis=1)
    graph = helper.make_graph(
        [*outer, first, loop],
        "g",
        [value("x", REAL, ["n", 5])],
        [value("sum", REAL, ["n"]), value("sums", REAL, ["m", "n"])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def results(proto: Any, x: Any) -> list[Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found: list[Any] = session.run(None, {"x": x})
    return found


@pytest.mark.parametrize("bound", [1, 3, 5, "1"], ids=["once", "3", "5", "size of an axis"])
def test_it_gives_the_same(bound: Any) -> None:
    proto, x = model(bound), np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    before = results(proto, x)
    assert REPAIR.applies(proto) == REPAIR.apply(proto) == 1
    onnx.checker.check_model(proto, full_check=True)
    assert not any(one.op_type == "Loop" for one in proto.graph.node)
    for expected, found in zip(before, results(proto, x), strict=True):
        assert np.array_equal(expected, found)
    assert REPAIR.applies(proto) == 0


@pytest.mark.parametrize(
    "proto",
    [model("0"), model(5, data=True), model(LIMIT + 1), model(3, start=False)],
    ids=["size of the batch", "data", "too many", "never"],
)
def test_what_is_not_known_stays(proto: Any) -> None:
    before = proto.SerializeToString()
    assert REPAIR.applies(proto) == REPAIR.apply(proto) == 0
    assert proto.SerializeToString() == before
