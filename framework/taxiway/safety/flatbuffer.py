"""A verifier and reader of flatbuffers: every offset is inside the file before anything follows it.

LiteRT trusts the offsets of a file that it opens. The layout of each table comes from a schema:
field -> [slot in the vtable, kind, of], kind one of `number`, `numbers`, `string`, `strings`, `structs`
(of: bytes of one), `table`, `tables`, `union`. Format: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

MAX_TABLES = 1_000_000
"""Tables that one file may hold, as in the verifier of the flatbuffers library."""
_CODES = {
    "bool": "B",
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}
Schema = Mapping[str, Any]


class Malformed(ValueError):
    """An offset or a length leads out of the file."""


class Table:
    """One table of a flatbuffer. Reading a part that `verify` has not passed raises Malformed."""

    def __init__(self, data: memoryview, at: int, kind: str, schema: Schema) -> None:
        self._data = data
        self._at = at
        self.kind = kind
        self._schema = schema
        (back,) = self._unpack("i", at)
        self._vtable = at - back
        (self._vtable_size, size) = self._unpack("HH", self._vtable)
        if self._vtable_size < 4 or self._vtable + self._vtable_size > len(data):
            raise Malformed(f"a table {kind} has no vtable")
        if size < 4 or at + size > len(data):
            raise Malformed(f"a table {kind} runs past the end")

    def _unpack(self, code: str, at: int) -> tuple[Any, ...]:
        if at < 0 or at + struct.calcsize(f"<{code}") > len(self._data):
            raise Malformed(f"a table {self.kind} lies outside the file")
        return struct.unpack_from(f"<{code}", self._data, at)

    def _place(self, field: str) -> tuple[int, str, Any]:
        """Where a field's bytes are (0 where it is absent), its kind, and what it is of."""
        slot, kind, of = self._schema["tables"][self.kind][field]
        if slot + 2 > self._vtable_size:
            return 0, kind, of
        (offset,) = self._unpack("H", self._vtable + slot)
        return (self._at + offset if offset else 0), kind, of

    def _follow(self, at: int) -> int:
        target = at + int(self._unpack("I", at)[0])
        if target + 4 > len(self._data):
            raise Malformed(f"an offset of a table {self.kind} leads out of the file")
        return target

    def _vector(self, at: int, width: int) -> tuple[int, int]:
        """Start and length of a vector whose offset is kept at `at`."""
        start = self._follow(at)
        (count,) = self._unpack("I", start)
        if start + 4 + count * width > len(self._data):
            raise Malformed(f"a list in a table {self.kind} runs past the end")
        return start + 4, count

    def number(self, field: str, default: int = 0) -> int:
        at, _, of = self._place(field)
        return int(self._unpack(_CODES[of], at)[0]) if at else default

    def numbers(self, field: str) -> memoryview:
        """A view of the list, empty where it is absent."""
        at, _, of = self._place(field)
        code: Any = _CODES[of]
        width = struct.calcsize(code)
        start, count = self._vector(at, width) if at else (0, 0)
        return self._data[start : start + count * width].cast("B").cast(code)

    def text(self, field: str) -> str:
        at, _, _ = self._place(field)
        return self._text(at) if at else ""

    def texts(self, field: str) -> list[str]:
        at, _, _ = self._place(field)
        start, count = self._vector(at, 4) if at else (0, 0)
        return [self._text(item) for item in range(start, start + 4 * count, 4)]

    def _text(self, at: int) -> str:
        start, count = self._vector(at, 1)
        if start + count >= len(self._data) or self._data[start + count]:
            raise Malformed(f"a text in a table {self.kind} has no end")
        try:
            return bytes(self._data[start : start + count]).decode()
        except UnicodeDecodeError as error:
            raise Malformed(f"a text in a table {self.kind} is no UTF-8") from error

    def structs(self, field: str) -> memoryview:
        """The bytes of a list of structs, empty where it is absent."""
        at, _, width = self._place(field)
        start, count = self._vector(at, width) if at else (0, 0)
        return self._data[start : start + count * width]

    def holds(self, field: str) -> bool:
        """Whether the table has the field; one that it leaves out has its default."""
        return self._place(field)[0] != 0

    def value(self, field: str) -> float:
        """A number of any kind, a fraction too."""
        at, _, of = self._place(field)
        return self._unpack(_CODES[of], at)[0] if at else 0

    def table(self, field: str) -> Table | None:
        at, kind, of = self._place(field)
        if kind == "union":
            of = self._schema["unions"][of].get(str(self.number(f"{field}Type")))
        return Table(self._data, self._follow(at), of, self._schema) if at and of else None

    def tables(self, field: str) -> Iterator[Table]:
        at, _, of = self._place(field)
        if at:
            start, count = self._vector(at, 4)
            for item in range(start, start + 4 * count, 4):
                yield Table(self._data, self._follow(item), of, self._schema)

    def parts(self) -> Iterator[tuple[Table, bool]]:
        """The tables that this one holds, and whether in a list. Every other field is read, too."""
        for field, (_, kind, _) in self._schema["tables"][self.kind].items():
            if kind == "number":
                self.number(field)
            elif kind == "string":
                self.text(field)
            elif kind == "strings":
                self.texts(field)
            elif kind == "structs":
                self.structs(field)
            elif kind in ("table", "union"):
                inner = self.table(field)
                if inner is not None:
                    yield inner, False
            elif kind == "tables":
                for item in self.tables(field):
                    yield item, True

    def listed(self) -> int:
        """Bytes of the lists of numbers; those of plain bytes, which no reader walks, not counted."""
        fields = self._schema["tables"][self.kind].items()
        return sum(
            self.numbers(field).nbytes
            for field, (_, kind, _) in fields
            if kind == "numbers" and (self.numbers(field).itemsize > 1)
        )

    @property
    def place(self) -> tuple[int, str]:
        return self._at, self.kind


@contextmanager
def mapped(path: Path, identifier: bytes, root: str, schema: Schema) -> Iterator[Table]:
    """The verified root table of a file that begins with `identifier`. Raises Malformed."""
    with path.open("rb") as stream:
        if path.stat().st_size < 8:
            raise Malformed("it is shorter than a header")
        data = memoryview(mmap(stream.fileno(), 0, access=ACCESS_READ))
        if bytes(data[4:8]) != identifier:
            raise Malformed(f"it does not start with the identifier {identifier.decode()}")
        yield verified(data, root, schema)


def verified(data: memoryview, root: str, schema: Schema) -> Table:
    """The root table, once every table, list and text that it reaches lies inside `data`.

    Parts that overlap would let a small file cost any amount of work: a list may not hold a table
    twice, and the lists together may not be longer than the file. Raises Malformed.
    """
    if len(data) < 8:
        raise Malformed("it is shorter than a header")
    table = Table(data, int(struct.unpack_from("<I", data, 0)[0]), root, schema)
    seen, stack, listed = {table.place}, [table], table.listed()
    while stack:
        for part, in_list in stack.pop().parts():
            if part.place in seen:
                if in_list:
                    raise Malformed(f"a list holds a table {part.kind} twice")
                continue
            seen.add(part.place)
            stack.append(part)
            listed += part.listed()
            if len(seen) > MAX_TABLES or listed > len(data):
                raise Malformed("its tables overlap, or are more than any model has")
    return table
