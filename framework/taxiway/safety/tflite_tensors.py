"""What a TFLite file says of its tensors and buffers, against what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from taxiway.safety.allowlist import allowlist
from taxiway.safety.flatbuffer import Table

MAX_TENSOR = 64 * 2**30
"""Bytes that one tensor may claim to need."""
_BITS = {
    name: bits
    for bits, names in {
        2: "INT2",
        4: "INT4 UINT4",
        8: "INT8 UINT8 BOOL FLOAT8_E4M3FN FLOAT8_E5M2",
        16: "INT16 UINT16 FLOAT16 BFLOAT16",
        32: "INT32 UINT32 FLOAT32",
        64: "INT64 UINT64 FLOAT64 COMPLEX64",
        128: "COMPLEX128",
    }.items()
    for name in names.split()
}
_OPTIONAL = {
    *("FULLY_CONNECTED", "CONV_2D", "CONV_3D", "CONV_3D_TRANSPOSE", "DEPTHWISE_CONV_2D"),
    *("TRANSPOSE_CONV", "RNN", "LSTM", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
    *("UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN"),
    *("STABLEHLO_COMPOSITE", "CUSTOM"),
}
"""Operators with inputs that may be left out (TFL_TensorOfOrNone in tfl_ops.td); the kernels of others
follow the missing one."""
_UNSIZED = ("STRING", "RESOURCE", "VARIANT")
_FROM_END = 1
"""Offsets 0 and 1 say that a buffer's data is in the flatbuffer (schema.fbs)."""


def buffer_findings(model: Table, size: int) -> Iterator[str]:
    """Buffers that lie beyond the file, and those in other files."""
    for at, buffer in enumerate(model.tables("Buffers")):
        offset, length = buffer.number("Offset"), buffer.number("Size")
        if offset > _FROM_END and offset + length > size:
            yield f"buffer {at} claims {length} bytes at {offset} of a file of {size}"
    groups = [group.text("Name") for group in model.tables("ExternalBufferGroups")]
    if groups or any(True for _ in model.tables("ExternalBuffers")):
        yield f"it keeps weights in other files: {', '.join(map(repr, groups)) or 'unnamed'}"
    buffers = sum(1 for _ in model.tables("Buffers"))
    for metadata in model.tables("Metadata"):
        if not metadata.number("Buffer") < buffers:
            yield f"metadata '{metadata.text('Name')}' is in no buffer of the file"


def stored_bytes(model: Table) -> list[int]:
    """The bytes that each buffer holds."""
    return [
        len(buffer.numbers("Data")) or buffer.number("Size") for buffer in model.tables("Buffers")
    ]


def tensor_findings(
    subgraph: Table, stored: Sequence[int], operators: Sequence[str]
) -> Iterator[str]:
    """Tensors that claim more than they store, and references to tensors that are not there.

    stored: bytes of each buffer. operators: name of each operator code.
    """
    tensors = list(subgraph.tables("Tensors"))
    for tensor in tensors:
        yield from _tensor(tensor, stored)
    graph = subgraph.text("Name") or "main"
    for field in ("Inputs", "Outputs"):
        if not _within(subgraph.numbers(field), len(tensors), optional=False):
            yield f"the {field.lower()} of subgraph '{graph}' name a tensor that is not there"
    for at, operator in enumerate(subgraph.tables("Operators")):
        code = operator.number("OpcodeIndex")
        name = operators[code] if code < len(operators) else "unknown"
        options = operator.numbers("CustomOptions") or operator.number("LargeCustomOptionsSize")
        if name == "CUSTOM" and not options:
            yield f"operator {at} ({name}) of subgraph '{graph}' has no options for its kernel to read"
        for field in ("Inputs", "Outputs", "Intermediates"):
            optional = field == "Intermediates" or (field == "Inputs" and name in _OPTIONAL)
            if not _within(operator.numbers(field), len(tensors), optional):
                yield (
                    f"operator {at} ({name}) of subgraph '{graph}' names a tensor that is not there"
                )


def _within(indices: Sequence[int] | memoryview, count: int, optional: bool) -> bool:
    """Whether all are tensors; -1 is an operator's optional input that is left out."""
    return all((-1 if optional else 0) <= index < count for index in indices)


def _tensor(tensor: Table, buffers: Sequence[int]) -> Iterator[str]:
    name = tensor.text("Name")
    kind = allowlist("tflite_schema")["types"].get(str(tensor.number("Type")))
    if kind is None:
        yield f"tensor '{name}' has a type that LiteRT does not know"
        return
    if not tensor.number("Buffer") < len(buffers):
        yield f"tensor '{name}' is in no buffer of the file"
        return
    shape = list(tensor.numbers("Shape"))
    if any(axis < 0 for axis in shape):
        yield f"tensor '{name}' has the shape {shape}"
        return
    if kind in _UNSIZED or tensor.table("Sparsity") is not None:
        return
    needed = (prod(shape) * _BITS[kind] + 7) // 8
    stored = buffers[tensor.number("Buffer")]
    if stored and needed > stored:
        yield f"tensor '{name}' claims {needed} bytes and stores {stored}"
    elif needed > MAX_TENSOR:
        yield f"tensor '{name}' claims {needed} bytes, more than {MAX_TENSOR}"
