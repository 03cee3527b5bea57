"""The gate of an ONNX file: ops that ONNX or ONNX Runtime has, and data that is where it says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

from taxiway.safety.allowlist import allowlist
from taxiway.safety.calls import cycle
from taxiway.safety.onnx_graph import FunctionName, Operator, Tensor, contents, functions
from taxiway.safety.protobuf import VARINT, Malformed, fields, opened, submessages

MAX_SIZE = 2 * 2**30
MAX_NODES = 2_000_000
"""Nodes of a graph once the calls of functions in it are replaced by their bodies."""
MAX_TENSOR = 64 * 2**30
"""Bytes that one tensor may claim to need."""
MAX_LISTED = 20
_BITS = {
    number: bits
    for bits, numbers in {
        2: (25, 26),
        4: (21, 22, 23),
        8: (2, 3, 9, 17, 18, 19, 20, 24),
        16: (4, 5, 10, 16),
        32: (1, 6, 12),
        64: (7, 11, 13, 14),
        128: (15,),
    }.items()
    for number in numbers
}
"""TensorProto.DataType -> bits of one element (onnx.proto)."""


def findings(path: Path) -> list[str]:
    """What is unsafe in the file, one line each. No runtime is started, no weights are read."""
    size = path.stat().st_size
    if size > MAX_SIZE:
        return [f"the file has {size} bytes, protobuf allows {MAX_SIZE}"]
    try:
        with opened(path) as model:
            found = list(dict.fromkeys(_judge(model, path.parent)))
    except Malformed as error:
        return [f"it is no readable ONNX model: {error}"]
    except RecursionError:
        return ["its functions call each other too deeply"]
    if len(found) > MAX_LISTED:
        return [*found[:MAX_LISTED], f"and {len(found) - MAX_LISTED} more"]
    return found


def external_files(model: Any) -> list[str]:
    """The `location` of every tensor that an onnx.ModelProto keeps in another file, each once."""
    return list(
        dict.fromkeys(
            entry.value
            for message in _messages(model)
            if message.DESCRIPTOR.name == "TensorProto"
            for entry in message.external_data
            if entry.key == "location"
        )
    )


def _messages(root: Any) -> Iterator[Any]:
    """Every message within a message, by reflection: subgraphs, attributes and functions too."""
    stack = [root]
    while stack:
        message = stack.pop()
        yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                stack.extend([value] if hasattr(value, "ListFields") else value)


@cache
def known_ops() -> dict[str, frozenset[str]]:
    """Domain -> the ops that the installed onnx defines, in any version, and those ONNX Runtime adds."""
    import onnx

    known: dict[str, set[str]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        known.setdefault(schema.domain, set()).add(schema.name)
    for domain, names in allowlist("onnxruntime_ops")["domains"].items():
        known.setdefault(domain, set()).update(names)
    return {domain: frozenset(names) for domain, names in known.items()}


def _judge(model: memoryview, folder: Path) -> Iterator[str]:
    versions = [
        field.value for field in fields(model) if (field.number, field.wire_type) == (1, VARINT)
    ]
    if max(versions, default=0) >= 3 and not any(True for _ in submessages(model, 8)):
        # Cut off behind its graph: from IR version 3 on the field is required (docs/IR.md of ONNX).
        raise Malformed("it imports no operator set")
    own = set(functions(model))
    calls: dict[FunctionName | None, dict[FunctionName, int]] = {None: {}}
    nodes: dict[FunctionName | None, int] = {}
    files: dict[str, int | None] = {}
    for part in contents(model):
        if isinstance(part, Tensor):
            yield from _stored(part)
            if part.external:
                yield from _external(part, folder, files)
            continue
        nodes[part.function] = nodes.get(part.function, 0) + 1
        callee = FunctionName(part.domain, part.name)
        if callee in own:
            callees = calls.setdefault(part.function, {})
            callees[callee] = callees.get(callee, 0) + 1
        else:
            yield from _operator(part)
    if loop := cycle(calls):
        yield f"function {' calls '.join(name.name for name in loop if name)}, and so never ends"
    elif (total := _expanded(None, calls, nodes, {})) > MAX_NODES:
        yield f"its functions expand to {total} nodes, more than {MAX_NODES}"


def _operator(node: Operator) -> Iterator[str]:
    known = known_ops()
    if node.domain not in known:
        yield f"op {node.name} of domain '{node.domain}' needs a foreign library"
    elif node.name == "EPContext":
        yield "op EPContext runs a binary made for one accelerator"
    elif node.name not in known[node.domain]:
        domain = node.domain or "ai.onnx"
        yield (
            f"op {node.name} (node '{node.node}') is none of domain '{domain}' that the installed "
            "onnx and ONNX Runtime know: export with another opset, or upgrade them"
        )


def _expanded(
    function: FunctionName | None,
    calls: dict[FunctionName | None, dict[FunctionName, int]],
    nodes: dict[FunctionName | None, int],
    done: dict[FunctionName | None, int],
) -> int:
    """Nodes of a function whose calls, which end, are replaced by bodies; saturates above the limit."""
    if function not in done:
        total = nodes.get(function, 0)
        for callee, times in calls.get(function, {}).items():
            total += times * _expanded(callee, calls, nodes, done)
        done[function] = min(total, 10**12)
    return done[function]


def _stored(tensor: Tensor) -> Iterator[str]:
    """Tensors whose dims claim more than the file has; a runtime allocates by the dims."""
    if any(axis < 0 for axis in (*tensor.dims, *tensor.sparse)):
        yield f"tensor '{tensor.name}' has the shape {list(tensor.dims)}"
        return
    elements, bits = prod(tensor.dims), _BITS.get(tensor.data_type)
    whole = prod(tensor.sparse) if tensor.sparse else elements
    if whole * (bits or 8) // 8 > MAX_TENSOR:
        yield f"tensor '{tensor.name}' claims {whole} elements, more than {MAX_TENSOR} bytes"
    elif not tensor.external:
        # Four-bit and two-bit numbers share one int32 of int32_data.
        held = tensor.typed * (8 // bits if bits and bits < 8 else 1)
        held += tensor.raw * 8 // bits if bits else 0
        if elements > held:
            yield f"tensor '{tensor.name}' claims {elements} elements and stores at most {held}"


def _external(tensor: Tensor, folder: Path, sizes: dict[str, int | None]) -> Iterator[str]:
    name = tensor.external.get("location", "")
    if name not in sizes:
        reason, sizes[name] = _outside(folder, name)
        if reason:
            yield f"external data {name!r} {reason}"
    size = sizes[name]
    if size is None:
        return
    numbers = [tensor.external.get(key, "0") for key in ("offset", "length")]
    if not all(text.isascii() and text.isdecimal() and len(text) < 20 for text in numbers):
        yield f"external data of tensor '{tensor.name}' has offset and length {numbers}"
        return
    offset, length = map(int, numbers)
    needed = (prod(tensor.dims) * _BITS.get(tensor.data_type, 8) + 7) // 8
    if offset + max(length, needed) > size:
        yield (
            f"tensor '{tensor.name}' claims {max(length, needed)} bytes at {offset} of {name!r}, "
            f"which has {size}"
        )


def _outside(folder: Path, name: str) -> tuple[str | None, int | None]:
    """Why a file that the model names is not a plain file beside it, else its size in bytes.

    ONNX Runtime itself follows hard links.
    """
    if not name or name in (".", "..") or any(mark in name for mark in "/\\:\0"):
        return "is no plain name of a file beside the model", None
    try:
        status = os.lstat(folder / name)
    except OSError:
        return "is missing", None
    if not stat.S_ISREG(status.st_mode):
        return "is a link or no regular file", None
    if status.st_nlink > 1:
        return "has more than one hard link", None
    return None, status.st_size
