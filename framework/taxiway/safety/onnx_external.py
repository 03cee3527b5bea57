"""Which other files an ONNX file names, read off the wire: a plan needs them, and loads no onnx.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

from taxiway.safety.protobuf import BYTES, Malformed, fields, submessages, text

_NESTED = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _KEY, _VALUE = 13, 1, 2


def external_names(path: Path) -> list[str]:
    """The `location` of every tensor that is kept in another file, sorted; none where it is no ONNX."""
    with path.open("rb") as stream:
        try:
            return sorted(set(_locations(mmap(stream.fileno(), 0, access=ACCESS_READ))))
        except (Malformed, ValueError):
            return []


def _locations(model: mmap) -> Iterator[str]:
    stack = [("model", memoryview(model))]
    while stack:
        kind, message = stack.pop()
        if kind == "tensor":
            for entry in submessages(message, _EXTERNAL_DATA):
                keys = [text(key) for key in submessages(entry, _KEY)]
                if "location" in keys:
                    yield from (text(value) for value in submessages(entry, _VALUE))
            continue
        for field in fields(message):
            if field.wire_type == BYTES and field.number in _NESTED[kind]:
                stack.append((_NESTED[kind][field.number], field.data))
