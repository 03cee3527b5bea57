"""A file in ONNX Runtime's own format, written in one order: the runtime itself walks hash maps, whose
order is another one on every run.

Format: https://onnxruntime.ai/docs/reference/ort-format-models.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taxiway.safety.allowlist import allowlist
from taxiway.safety.flatbuffer import Table, verified
from taxiway.safety.ort_model import IDENTIFIER

_UNORDERED = {
    "Initializers": "Name",
    "NodeArgs": "Name",
    "Attributes": "Name",
    "OpKernelTypeStrArgs": "OpId",
    "KernelTypeStrArgs": "KernelTypeStr",
}
"""Lists of maps -> the field that is the key."""


def in_one_order(content: bytes) -> bytes:
    """The same model, its lists sorted where the runtime reads them into maps.

    Raises taxiway.safety.flatbuffer.Malformed for a file that is not what the schema says.
    """
    import flatbuffers

    session = verified(memoryview(content), "InferenceSession", allowlist("ort_schema"))
    builder = flatbuffers.Builder(len(content) + 1024)
    builder.Finish(_copy(session, builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _copy(table: Table, builder: Any) -> int:
    """Write a table, what it refers to before it, and give its offset."""
    from flatbuffers import number_types

    slots: list[tuple[int, Callable[[], None]]] = []
    layout = allowlist("ort_schema")["tables"][table.kind]
    for field, (slot, kind, of) in layout.items():
        if not table.holds(field):
            continue
        if kind == "number":
            flags = getattr(number_types, f"{of.capitalize()}Flags")
            value = table.value(field)
            slots.append((slot, lambda flags=flags, value=value: builder.Prepend(flags, value)))  # type: ignore[misc]
            continue
        offset = _part(table, field, kind, of, builder)
        slots.append((slot, lambda offset=offset: builder.PrependUOffsetTRelative(offset)))  # type: ignore[misc]
    builder.StartObject(len(layout) + 8)
    for slot, prepend in slots:
        prepend()
        builder.Slot((slot - 4) // 2)
    return int(builder.EndObject())


def _part(table: Table, field: str, kind: str, of: Any, builder: Any) -> int:
    """Write what a field refers to, and give its offset."""
    if kind == "string":
        return int(builder.CreateString(table.text(field)))
    if kind in ("table", "union"):
        inner = table.table(field)
        assert inner is not None, f"{table.kind}.{field} is of no known kind"
        return _copy(inner, builder)
    if kind == "numbers":
        return _bytes(builder, table.numbers(field), table.numbers(field).itemsize)
    if kind == "structs":
        return _bytes(builder, table.structs(field), of)
    if kind == "strings":
        return _offsets(builder, [builder.CreateString(text) for text in table.texts(field)])
    parts = list(table.tables(field))
    if field in _UNORDERED:
        parts.sort(key=lambda part: part.text(_UNORDERED[field]))
    return _offsets(builder, [_copy(part, builder) for part in parts])


def _bytes(builder: Any, values: memoryview, width: int) -> int:
    """A list as its bytes; structs here are of numbers of four bytes."""
    content = values.cast("B") if values.format != "B" else values
    builder.StartVector(width, len(content) // width, min(width, 4) if width == 12 else width)
    builder.head = int(builder.Head()) - len(content)
    builder.Bytes[builder.Head() : builder.Head() + len(content)] = content
    return int(builder.EndVector())


def _offsets(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
