"""A walker over protobuf's wire format: reads a hostile message without its generated classes.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

Buffer = bytes | memoryview | mmap
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_FIELDS = 10_000_000
"""Fields that one file may make the walker read: half a minute of work."""


class Malformed(ValueError):
    """The bytes are no protobuf message."""


class Field(NamedTuple):
    """One field as it stands on the wire; `data` is set for length-delimited ones."""

    number: int
    wire_type: int
    value: int
    data: memoryview


_left: ContextVar[list[int] | None] = ContextVar("fields left to read", default=None)


@contextmanager
def opened(path: Path, limit: int = MAX_FIELDS) -> Iterator[memoryview]:
    """A file's content without a copy; within, reading more than `limit` fields is Malformed.

    Raises Malformed for an empty file.
    """
    with path.open("rb") as stream:
        try:
            data = mmap(stream.fileno(), 0, access=ACCESS_READ)
        except ValueError as error:
            raise Malformed("the file is empty") from error
        token = _left.set([limit])
        try:
            yield memoryview(data)
        finally:
            _left.reset(token)


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


def fields(message: Buffer, skip: re.Pattern[bytes] | None = None) -> Iterator[Field]:
    """The fields of one message in order, repeated ones each time; lazily.

    skip: whole fields that are passed over where they match. Raises Malformed. Groups (deprecated
    wire types 3 and 4) count as malformed.
    """
    data = memoryview(message)
    at, end, empty = 0, len(data), data[:0]
    left = _left.get()
    while at < end:
        if skip is not None and (run := skip.match(data, at)):
            at = run.end()
            continue
        if left is not None:
            left[0] -= 1
            if left[0] < 0:
                raise Malformed("it has more fields than any model")
        # Most keys and lengths are one byte: a call for each would double the time.
        key, at = (data[at], at + 1) if data[at] < 0x80 else _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise Malformed("field number 0")
        value, payload = 0, empty
        if wire_type == BYTES:
            short = at < end and data[at] < 0x80
            length, at = (data[at], at + 1) if short else _varint(data, at)
            payload = data[at : at + length]
            at += length
        elif wire_type == VARINT:
            value, at = _varint(data, at)
        elif wire_type in (FIXED64, FIXED32):
            at += 8 if wire_type == FIXED64 else 4
        else:
            raise Malformed(f"wire type {wire_type}")
        if at > end:
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
