"""The nodes and functions of a saved_model.pb, read from the wire without TensorFlow.

Field numbers: saved_model.proto, meta_graph.proto, graph.proto, function.proto, node_def.proto,
attr_value.proto, saved_object_graph.proto of TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from taxiway.safety.protobuf import submessages, text

MAIN = "the main graph"


@dataclass(frozen=True)
class Node:
    """One NodeDef. A repeated singular field keeps all its values: parsers differ in which wins."""

    name: str
    ops: tuple[str, ...]
    inputs: tuple[str, ...]
    calls: frozenset[str]
    attributes: tuple[tuple[str, memoryview], ...]

    def strings(self, attribute: str, *path: int) -> list[str]:
        """Text values at a field path within an AttrValue."""
        found = []
        for key, value in self.attributes:
            if key == attribute:
                found += [text(data) for data in submessages(value, *path)]
        return found

    @property
    def constants(self) -> list[str]:
        """The text that a string Const holds: TensorProto.string_val, or its packed content."""
        return (
            self.strings("value", 8, 8) + self.strings("value", 8, 4) if "Const" in self.ops else []
        )


@dataclass(frozen=True)
class Graph:
    """A MetaGraphDef: its functions by name (the main graph among them) and what surrounds them."""

    functions: dict[str, list[Node]]
    exposed: frozenset[str]
    saver_nodes: frozenset[str]
    asset_files: tuple[str, ...]
    asset_nodes: frozenset[str]
    object_based: bool


def graphs(data: memoryview) -> list[Graph]:
    """Every graph of a SavedModel. Raises taxiway.safety.protobuf.Malformed."""
    return [_graph(meta) for meta in submessages(data, 2)]


def _graph(meta: memoryview) -> Graph:
    functions = {MAIN: [_node(node) for node in submessages(meta, 2, 1)]}
    for function in submessages(meta, 2, 2, 1):
        for name in _texts(function, 1, 1):
            functions.setdefault(name, []).extend(_node(node) for node in submessages(function, 3))
    return Graph(
        functions=functions,
        exposed=frozenset(_texts(meta, 7, 2, 1)),
        saver_nodes=frozenset(
            name.partition(":")[0] for field in (1, 2, 3) for name in _texts(meta, 3, field)
        ),
        asset_files=tuple(_texts(meta, 6, 2)),
        asset_nodes=frozenset(name.partition(":")[0] for name in _texts(meta, 6, 1, 1)),
        object_based=any(True for _ in submessages(meta, 7)),
    )


def _node(data: memoryview) -> Node:
    attributes = [
        (key, value)
        for entry in submessages(data, 5)
        for key in _texts(entry, 1)
        for value in submessages(entry, 2)
    ]
    calls = {
        name
        for _, value in attributes
        for path in ((10, 1), (1, 9, 1))
        for name in _texts(value, *path)
    }
    ops = tuple(_texts(data, 2))
    names = tuple(_texts(data, 1))
    return Node(
        name=names[-1] if names else "",
        ops=ops,
        inputs=tuple(_texts(data, 3)),
        calls=frozenset({*calls, *ops}),
        attributes=tuple(attributes),
    )


def _texts(data: memoryview, *path: int) -> Iterator[str]:
    return map(text, submessages(data, *path))
