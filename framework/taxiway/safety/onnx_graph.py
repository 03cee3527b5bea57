"""What an ONNX file holds, read off the wire: nodes and tensors, at any depth, without their data.

A model is as large as its weights, and a gate needs none of them: they stay on disk. Field numbers:
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from taxiway.safety.protobuf import (
    BYTES,
    VARINT,
    Field,
    Malformed,
    fields,
    submessages,
    text,
)

MAX_DEPTH = 100
"""Messages within messages; protobuf's own parsers end at the same depth."""
_NESTED = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_NUMBERS = re.compile(rb"(?:\x40[\x80-\xff]{0,9}[\x00-\x7f]|\x3d[\x00-\xff]{4})++")
"""A run of AttributeProto.ints and floats, one field each: trees of scikit-learn have millions."""


class FunctionName(NamedTuple):
    """Domain and name of a function of the model; the domain `ai.onnx` is written as empty."""

    domain: str
    name: str


class Operator(NamedTuple):
    """One node. function: the one it stands in, None for a graph."""

    domain: str
    name: str
    node: str
    function: FunctionName | None


class Tensor(NamedTuple):
    """One constant.

    dims: as the file says. data_type: number in TensorProto.DataType. raw: bytes of its content.
    typed: how many numbers or texts its other fields can hold. external: key -> value of the file
    that holds it; empty where it is inline. sparse: dims of the whole tensor, for a sparse one's part.
    """

    name: str
    dims: tuple[int, ...]
    data_type: int
    raw: int
    typed: int
    external: dict[str, str]
    sparse: tuple[int, ...] = ()


def signed(value: int) -> int:
    """A varint as int64."""
    return value - 2**64 if value >= 2**63 else value


def default_domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def functions(model: memoryview) -> Iterator[FunctionName]:
    """The functions that a ModelProto defines. Raises Malformed."""
    for function in submessages(model, 25):
        yield _function_name(function)


def _function_name(function: memoryview) -> FunctionName:
    names = {
        field.number: text(field.data) for field in fields(function) if field.number in (1, 10)
    }
    return FunctionName(default_domain(names.get(10, "")), names.get(1, ""))


def contents(model: memoryview) -> Iterator[Operator | Tensor]:
    """Every node and tensor of a ModelProto, those of subgraphs and functions too.

    Raises Malformed, for messages nested too deeply as well.
    """
    stack: list[tuple[str, memoryview, FunctionName | None, int, tuple[int, ...]]]
    stack = [("model", model, None, 0, ())]
    while stack:
        kind, message, function, depth, sparse = stack.pop()
        if depth > MAX_DEPTH:
            raise Malformed("its parts are nested too deeply")
        if kind == "tensor":
            yield _tensor(message, sparse)
            continue
        if kind == "function":
            function = _function_name(message)
        elif kind == "node":
            yield _operator(message, function)
        elif kind == "sparse":
            sparse = tuple(_dims(message, 3))
        nested = _NESTED[kind]
        skip = _NUMBERS if kind == "attribute" else None
        for field in fields(message, skip):
            if field.wire_type == BYTES and field.number in nested:
                stack.append((nested[field.number], field.data, function, depth + 1, sparse))


def _operator(node: memoryview, function: FunctionName | None) -> Operator:
    texts = {3: "", 4: "", 7: ""}
    for field in fields(node):
        if field.wire_type == BYTES and field.number in texts:
            texts[field.number] = text(field.data)
    return Operator(default_domain(texts[7]), texts[4], texts[3], function)


def _dims(message: memoryview, number: int) -> Iterator[int]:
    """A repeated int64, packed or not."""
    for field in fields(message):
        if field.number == number:
            yield from _numbers(field)


def _numbers(field: Field) -> Iterator[int]:
    if field.wire_type == VARINT:
        yield signed(field.value)
    elif field.wire_type == BYTES:
        value, shift = 0, 0
        for byte in field.data:
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                yield signed(value)
                value, shift = 0, 0


_WIDTHS = {4: 4, 5: 1, 6: 0, 7: 1, 10: 8, 11: 1}
"""TensorProto's typed fields -> the fewest bytes of a packed number; texts are never packed."""


def _tensor(message: memoryview, sparse: tuple[int, ...]) -> Tensor:
    name, dims, data_type, raw, typed = "", list[int](), 0, 0, 0
    external: dict[str, str] = {}
    for field in fields(message):
        if field.number == 1:
            dims += _numbers(field)
            if len(dims) > 64:
                raise Malformed("a tensor has more than 64 axes")
        elif field.number == 2:
            data_type = field.value
        elif field.number == 8 and field.wire_type == BYTES:
            name = text(field.data)
        elif field.number == 9:
            raw = len(field.data)
        elif field.number == 13 and field.wire_type == BYTES:
            external |= _entry(field.data)
        elif field.number in _WIDTHS:
            width = _WIDTHS[field.number]
            packed = field.wire_type == BYTES and width
            typed += len(field.data) // width if packed else 1
    return Tensor(name, tuple(dims), data_type, raw, typed, external, sparse)


def _entry(data: memoryview) -> dict[str, str]:
    """A StringStringEntryProto; where a key occurs twice, its last value."""
    parts = {field.number: text(field.data) for field in fields(data) if field.wire_type == BYTES}
    return {parts.get(1, ""): parts.get(2, "")}
