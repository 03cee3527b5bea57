"""The gate of a safetensors file: a header that describes the bytes behind it exactly.

Layout (https://github.com/huggingface/safetensors, README, "Format"): 8 bytes with the length of the
header, little-endian; a JSON object, tensor name -> dtype, shape, data_offsets; then the data, with no
holes and no overlap.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

MAX_HEADER = 100_000_000
"""Bytes; the limit of the reference implementation."""
_BITS = (
    dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8)
    | dict.fromkeys(("U16", "I16", "F16", "BF16"), 16)
    | dict.fromkeys(("U32", "I32", "F32"), 32)
    | dict.fromkeys(("U64", "I64", "F64", "C64"), 64)
)


def is_safetensors(head: bytes) -> bool:
    """Whether the first 9 bytes of a file look like a safetensors header."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_HEADER


def findings(path: Path) -> list[str]:
    """What is wrong with the header, one line each. No tensor is read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER):
            return [f"its header claims {length} bytes, the file has {max(size - 8, 0)}"]
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        return ["its header is nested too deeply"]
    except ValueError as error:
        return [f"its header is no JSON: {error}"]
    if not isinstance(header, dict):
        return ["its header is no JSON object"]
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        return ["its metadata are no mapping of text to text"]
    found: list[str] = []
    spans: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        span = _span(entry)
        if isinstance(span, str):
            found.append(f"tensor {name!r} {span}")
        else:
            spans.append((*span, name))
    return found or _layout(sorted(spans), size - 8 - length)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result


def _span(entry: Any) -> tuple[int, int] | str:
    """Where the tensor's bytes begin and end, or what is wrong with its entry."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        return "has other keys than dtype, shape and data_offsets"
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        return f"has the unknown dtype {dtype!r}"
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        return "has a shape or offsets that are no natural numbers"
    begin, end = offsets
    wanted = math.prod(shape) * _BITS[dtype] // 8
    if end - begin != wanted:
        return f"needs {wanted} bytes for {dtype}{shape}, its offsets give {end - begin}"
    return begin, end


def _naturals(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 2**63 for v in values)


def _layout(spans: list[tuple[int, int, str]], size: int) -> list[str]:
    position = 0
    for begin, end, name in spans:
        if begin != position:
            kind = "overlaps the one before it" if begin < position else "leaves a hole before it"
            return [f"tensor {name!r} {kind}"]
        position = end
    if position != size:
        return [f"its tensors take {position} bytes, the file holds {size}"]
    return []
