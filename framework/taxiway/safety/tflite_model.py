"""The gate of a TFLite file: ops that no LiteRT runtime has, and unreadable structure."""

from __future__ import annotations

import struct
from pathlib import Path

MAX_OPERATOR_CODES = 10_000


def findings(path: Path) -> list[str]:
    """Select-TF (flex) ops, one line each; the interpreter is not started."""
    names = custom_ops(path)
    if names is None:
        return ["it is no readable TFLite model"]
    return [
        f"op {name} needs TensorFlow (Select TF ops), which LiteRT does not have"
        for name in names
        if name.startswith("Flex")
    ]


def custom_ops(path: Path) -> list[str] | None:
    """Names of the custom ops that a TFLite file uses, sorted; None where it cannot be read."""
    from ai_edge_litert import schema_py_generated as schema

    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        return None
    try:
        model = schema.Model.GetRootAsModel(data, 0)
        if model.OperatorCodesLength() > MAX_OPERATOR_CODES:
            return None
        codes = [model.OperatorCodes(at) for at in range(model.OperatorCodesLength())]
        names = {bytes(code.CustomCode() or b"") for code in codes if code is not None}
    except (struct.error, TypeError, ValueError, IndexError, AttributeError):
        return None
    return sorted(name.decode("utf-8", "replace") for name in names if name)
