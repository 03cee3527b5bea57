"""Integers of fewer than 8 bits, several to a byte, the lowest bits first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def unpacked(
    data: np.ndarray[Any, Any], bits: int, count: int, signed: bool
) -> np.ndarray[Any, Any]:
    """The first `count` integers of `bits` (2 or 4) bits in uint8 `data`: int8 or uint8 `[count]`.

    ONNX (onnx.proto, INT4) and TFLite (schema.fbs, INT4) have the first element in the lowest bits.
    """
    import numpy as np

    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    mask = np.uint8((1 << bits) - 1)
    values = ((data.reshape(-1, 1).astype(np.uint8) >> shifts) & mask).reshape(-1)[:count]
    if not signed:
        return values
    half = 1 << (bits - 1)
    return ((values.astype(np.int16) ^ half) - half).astype(np.int8)
