"""Names for Keras."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from taxiway.convert.from_onnx.names import rename


@given(st.lists(st.text(max_size=5), min_size=2, max_size=6, unique=True))
def test_every_name_is_plain_unique_and_known_again(names: list[str]) -> None:
    names = [name or "empty" for name in names]
    x = helper.make_tensor_value_info("/x:0", TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info("y 0", TensorProto.FLOAT, [1])
    tensors = ["/x:0", *(f"t{name}" for name in names[1:]), "y 0"]
    nodes = [
        helper.make_node("Relu", [a], [b], name)
        for a, b, name in zip(tensors, tensors[1:], names, strict=False)
    ]
    graph = helper.make_graph(nodes, "g", [x], [y])
    renamed = rename(graph)
    given_names = [graph.input[0].name, *(n.output[0] for n in graph.node)]
    all_names = [*given_names, *(node.name for node in graph.node)]
    assert len({name.lower() for name in all_names}) == len(all_names)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.]*", name) for name in all_names)
    assert [renamed.tensors[name] for name in given_names] == tensors
    assert graph.output[0].name == graph.node[-1].output[0]
    for node, name in zip(graph.node, names, strict=False):
        assert renamed.label(node.name) == f"Relu '{name}'"


def test_a_node_without_a_name_is_called_by_its_operator() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "g", [x], [])
    assert rename(graph).label(graph.node[0].name) == "Relu"
