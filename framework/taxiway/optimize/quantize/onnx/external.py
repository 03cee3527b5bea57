"""Weights in other files under a change of the graph: rewritten in a stream, never held at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from taxiway.errors import StepError

PAGE = 4096
"""Where a tensor starts in the file, so that it can be mapped (onnx.proto, `external_data.offset`)."""
CHUNK = 2**20
"""Elements converted at once."""


class Held(NamedTuple):
    """A tensor of the graph, and where its data is: a file, the first byte, how many bytes."""

    tensor: Any
    data_type: int
    dims: list[int]
    file: Path
    offset: int
    length: int


def hold_out(proto: Any, folder: Path) -> list[Held]:
    """Make every tensor of `proto` whose data is elsewhere an empty one, and give what they were.

    folder: that of the model file. Raises StepError for data that ends before its tensor does.
    """
    held = [_held(tensor, folder) for tensor in _tensors(proto)]
    for each in held:
        del each.tensor.external_data[:]
        each.tensor.ClearField("data_location")
        each.tensor.dims[:] = [0]
    return held


def put_back(held: list[Held], path: Path, half: Callable[[Any], Any]) -> None:
    """Write the data of all tensors to one file at `path` and make them refer to it.

    half: float32 values to float16, for the tensors whose data type became float16 meanwhile.
    """
    import onnx

    with path.open("wb") as target:
        for each in held:
            target.write(bytes(-target.tell() % PAGE))
            offset = target.tell()
            with each.file.open("rb") as source:
                source.seek(each.offset)
                if each.tensor.data_type == each.data_type:
                    _copy(source, target, each.length)
                elif (each.data_type, each.tensor.data_type) == (
                    onnx.TensorProto.FLOAT,
                    onnx.TensorProto.FLOAT16,
                ):
                    _convert(source, target, each, half)
                else:
                    raise StepError(f"the data type of '{each.tensor.name}' changed unexpectedly")
            each.tensor.dims[:] = each.dims
            each.tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (
                ("location", path.name),
                ("offset", str(offset)),
                ("length", str(target.tell() - offset)),
            ):
                each.tensor.external_data.add(key=key, value=value)


def _held(tensor: Any, folder: Path) -> Held:
    import onnx

    entries = {entry.key: entry.value for entry in tensor.external_data}
    file, offset = folder / entries["location"], int(entries.get("offset", 0))
    length = int(entries.get("length", 0)) or file.stat().st_size - offset
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    if tensor.data_type == onnx.TensorProto.FLOAT:
        length = math.prod(tensor.dims) * dtype.itemsize
    if offset + length > file.stat().st_size:
        raise StepError(f"the data of '{tensor.name}' ends before the tensor does, in {file.name}")
    return Held(tensor, tensor.data_type, list(tensor.dims), file, offset, length)


def _tensors(message: Any) -> Iterator[Any]:
    """Every TensorProto with data elsewhere: initializers, attributes, those of subgraphs."""
    stack = [message]
    while stack:
        current = stack.pop()
        if current.DESCRIPTOR.name == "TensorProto":
            if current.external_data:
                yield current
            continue
        for field, value in current.ListFields():
            if field.message_type is not None:
                stack.extend([value] if hasattr(value, "ListFields") else value)


def _copy(source: IO[bytes], target: IO[bytes], length: int) -> None:
    while length:
        piece = source.read(min(length, 4 * CHUNK))
        target.write(piece)
        length -= len(piece)


def _convert(source: IO[bytes], target: IO[bytes], each: Held, half: Callable[[Any], Any]) -> None:
    import numpy as np

    from taxiway.optimize.quantize.finite import check_weight

    length = each.length
    while length:
        piece = np.frombuffer(source.read(min(length, 4 * CHUNK)), "<f4")
        check_weight(each.tensor.name, piece, each.file.name)
        target.write(half(piece).astype("<f2").tobytes())
        length -= piece.nbytes
