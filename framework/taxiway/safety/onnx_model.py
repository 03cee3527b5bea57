"""The gate of an ONNX file: data outside its folder, ops that need a foreign library."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_SIZE = 2 * 2**30
DOMAINS = {
    "",
    "ai.onnx",
    "ai.onnx.ml",
    "ai.onnx.training",
    "ai.onnx.preview.training",
    "com.microsoft",
    "com.microsoft.experimental",
    "com.microsoft.nchwc",
}


def findings(path: Path) -> list[str]:
    """What is unsafe in the file, one line each. No runtime is started, no external data opened."""
    import onnx

    if path.stat().st_size > MAX_SIZE:
        return [f"the file has {path.stat().st_size} bytes, protobuf allows {MAX_SIZE}"]
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        return [f"it is no readable ONNX model: {error}"]
    own = {(function.domain, function.name) for function in model.functions}
    found: list[str] = []
    for message in _messages(model):
        if message.DESCRIPTOR.name == "NodeProto":
            if message.domain not in DOMAINS and (message.domain, message.op_type) not in own:
                found.append(
                    f"op {message.op_type} of domain '{message.domain}' needs a foreign library"
                )
            elif message.op_type == "EPContext":
                found.append("op EPContext runs a binary made for one accelerator")
    for name in external_files(model):
        reason = _outside(path.parent, name)
        if reason:
            found.append(f"external data {name!r} {reason}")
    return list(dict.fromkeys(found))


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


def _outside(folder: Path, name: str) -> str | None:
    """Why a file that the model names is not a plain file beside it.

    ONNX Runtime itself follows hard links.
    """
    if not name or name in (".", "..") or any(mark in name for mark in "/\\:\0"):
        return "is no plain name of a file beside the model"
    try:
        status = (folder / name).lstat()
    except OSError:
        return "is missing"
    if not stat.S_ISREG(status.st_mode):
        return "is a link or no regular file"
    return "has more than one hard link" if status.st_nlink > 1 else None
