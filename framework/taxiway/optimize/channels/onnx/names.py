"""Names in an ONNX graph: what a node reads, and what it is called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

GRAPH, GRAPHS = 5, 10
"""`AttributeProto.AttributeType` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto)."""


def names_used(node: Any) -> Iterator[str]:
    """What a node reads, and what the graphs in its attributes read."""
    yield from (name for name in node.input if name)
    yield from names_captured(node)


def names_captured(node: Any) -> Iterator[str]:
    """What the graphs in a node's attributes read, names of their own included."""
    for attribute in node.attribute:
        graphs = [attribute.g] if attribute.type == GRAPH else attribute.graphs
        for graph in graphs if attribute.type in (GRAPH, GRAPHS) else ():
            yield from (value.name for value in graph.output)
            for inner in graph.node:
                yield from names_used(inner)


def name_nodes(graph: Any) -> None:
    """Give every node a name of its own: `Type_index` where it has none, or one that another has, too."""
    given = {node.name for node in graph.node}
    seen = set()
    for at, node in enumerate(graph.node):
        name, number = node.name, at
        while not name or name in seen:
            name = f"{node.op_type}_{number}"
            number += len(graph.node)
            name = "" if name in given else name
        seen.add(name)
        node.name = name
