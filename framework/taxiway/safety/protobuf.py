"""A walker over protobuf's wire format: reads a hostile message without its generated classes.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

Buffer = bytes | memoryview | mmap
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Malformed(ValueError):
    """The bytes are no protobuf message."""


class Field(NamedTuple):
    """One field as it stands on the wire; `data` is set for length-delimited ones."""

    number: int
    wire_type: int
    value: int
    data: memoryview


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise Malformed("a number runs past the end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Malformed("a number of more than 10 bytes")


def fields(message: Buffer) -> Iterator[Field]:
    """The fields of one message in order, repeated ones each time; lazily.

    Raises Malformed. Groups (deprecated wire types 3 and 4) count as malformed.
    """
    data = memoryview(message)
    at, empty = 0, data[:0]
    while at < len(data):
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise Malformed("field number 0")
        value, payload = 0, empty
        if wire_type == VARINT:
            value, at = _varint(data, at)
        elif wire_type in (FIXED64, FIXED32):
            at += 8 if wire_type == FIXED64 else 4
        elif wire_type == BYTES:
            length, at = _varint(data, at)
            payload = data[at : at + length]
            at += length
        else:
            raise Malformed(f"wire type {wire_type}")
        if at > len(data):
            raise Malformed(f"field {number} runs past the end")
        yield Field(number, wire_type, value, payload)


def submessages(message: Buffer, *path: int) -> Iterator[memoryview]:
    """Every message or string at a path of field numbers, such as `2, 2, 1`."""
    if not path:
        yield memoryview(message)
        return
    for field in fields(message):
        if field.number == path[0] and field.wire_type == BYTES:
            yield from submessages(field.data, *path[1:])


def text(data: memoryview) -> str:
    return bytes(data).decode("utf-8", "replace")
