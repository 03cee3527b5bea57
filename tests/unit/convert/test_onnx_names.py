"""Equal graphs get equal bytes, whatever order and names a converter gave their parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from taxiway.convert.onnx_names import make_canonical

X = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])
Y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])
FLAG = helper.make_tensor_value_info("flag", TensorProto.BOOL, [])


def diamond(names: list[str], order: list[int]) -> onnx.ModelProto:
    """y = relu(x + w) - tanh(x + w), with a dead node."""
    total, left, right, weight, dead = names
    nodes = [
        helper.make_node("Add", ["x", weight], [total], f"node of {total}"),
        helper.make_node("Relu", [total], [left], f"node of {left}"),
        helper.make_node("Tanh", [total], [right]),
        helper.make_node("Sub", [left, right], ["y"]),
        helper.make_node("Abs", [total], [dead]),
    ]
    w = numpy_helper.from_array(np.array([1, -2], np.float32), weight)
    graph = helper.make_graph([nodes[i] for i in order], "g", [X], [Y], [w])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def branches(prefix: str) -> onnx.ModelProto:
    """y = flag ? x + w : x * h, where h = -x comes from outside the branch."""

    def branch(op: str, other: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(f"{prefix}{op}", TensorProto.FLOAT, None)
        node = helper.make_node(op, ["x", other], [out.name])
        return helper.make_graph([node], prefix + op, [], [out])

    nodes = [
        helper.make_node("Neg", ["x"], [f"{prefix}h"]),
        helper.make_node(
            "If",
            ["flag"],
            ["y"],
            then_branch=branch("Add", f"{prefix}w"),
            else_branch=branch("Mul", f"{prefix}h"),
        ),
    ]
    w = numpy_helper.from_array(np.array([1, -2], np.float32), f"{prefix}w")
    graph = helper.make_graph(nodes, "g", [X, FLAG], [Y], [w])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    make_canonical(model.graph)
    onnx.checker.check_model(model)
    return model


def run(model: onnx.ModelProto, **feed: Any) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, feed)[0]


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
            lambda name: name not in ("x", "y")
        ),
        min_size=5,
        max_size=5,
        unique=True,
    ),
    st.permutations(range(5)),
)
def test_names_and_order_do_not_matter(names: list[str], order: list[int]) -> None:
    usual = canonical(diamond(["t", "l", "r", "w", "d"], [0, 1, 2, 3, 4]))
    other = canonical(diamond(names, order))
    for model in (usual, other):
        for node in model.graph.node:
            assert not node.name.startswith("node of")
    assert other.SerializeToString() == usual.SerializeToString()


def test_the_graph_computes_what_it_did() -> None:
    x = np.array([[3, 1], [-4, 0.5]], np.float32)
    before = diamond(["t", "l", "r", "w", "d"], [0, 1, 2, 3, 4])
    expected = run(before, x=x)
    after = canonical(before)
    assert [node.op_type for node in after.graph.node] == ["Add", "Relu", "Tanh", "Sub"]
    np.testing.assert_array_equal(run(after, x=x), expected)


def test_branches_keep_what_they_take_from_outside() -> None:
    x = np.array([[3, 1]], np.float32)
    one, two = canonical(branches("a")), canonical(branches("z"))
    assert one.SerializeToString() == two.SerializeToString()
    np.testing.assert_array_equal(run(one, x=x, flag=np.array(True)), [[4, -1]])
    np.testing.assert_array_equal(run(one, x=x, flag=np.array(False)), [[-9, -1]])


def test_a_deep_graph_needs_no_recursion() -> None:
    count = 3000
    nodes = [
        helper.make_node("Abs", [f"t{i}" if i else "x"], [f"t{i + 1}" if i + 1 < count else "y"])
        for i in range(count)
    ]
    graph = helper.make_graph(nodes, "g", [X], [Y])
    make_canonical(graph)
    assert len(graph.node) == count
