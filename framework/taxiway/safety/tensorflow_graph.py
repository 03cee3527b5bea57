"""The nodes and functions of a saved_model.pb, read from the wire without TensorFlow.

Field numbers: saved_model.proto, meta_graph.proto, graph.proto, function.proto, node_def.proto,
attr_value.proto, saved_object_graph.proto of TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from taxiway.safety.protobuf import BYTES, VARINT, fields, submessages, text

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
        if "Const" not in self.ops:
            return []
        tensors = [t for key, v in self.attributes if key == "value" for t in submessages(v, 8)]
        packed = [t for t in tensors if _is_string(t)]
        return [text(data) for t in tensors for data in submessages(t, 8)] + [
            text(data) for t in packed for data in submessages(t, 4)
        ]


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
    names: list[str] = []
    ops: list[str] = []
    inputs: list[str] = []
    attributes: list[tuple[str, memoryview]] = []
    for field in fields(data):
        if field.wire_type != BYTES:
            continue
        if field.number == 5:
            keys = [part for part in fields(field.data) if part.wire_type == BYTES]
            values = [part.data for part in keys if part.number == 2]
            attributes += [
                (text(part.data), value) for part in keys if part.number == 1 for value in values
            ]
        elif field.number in (1, 2, 3):
            (names, ops, inputs)[field.number - 1].append(text(field.data))
    calls = {name for _, value in attributes for name in _called(value)}
    return Node(
        name=names[-1] if names else "",
        ops=tuple(ops),
        inputs=tuple(inputs),
        calls=frozenset({*calls, *ops}),
        attributes=tuple(attributes),
    )


def _called(value: memoryview) -> Iterator[str]:
    """The functions that an AttrValue names: its `func`, and those of its list."""
    for field in fields(value):
        if field.wire_type == BYTES and field.number == 10:
            yield from _texts(field.data, 1)
        elif field.wire_type == BYTES and field.number == 1:
            yield from _texts(field.data, 9, 1)


def _is_string(tensor: memoryview) -> bool:
    """Whether a TensorProto's `dtype` is DT_STRING."""
    dtype, string = 1, 7
    return any(
        field.number == dtype and field.wire_type == VARINT and field.value == string
        for field in fields(tensor)
    )


def _texts(data: memoryview, *path: int) -> Iterator[str]:
    return map(text, submessages(data, *path))
