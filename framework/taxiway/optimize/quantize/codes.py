"""Weights as small integers: one scale per group of neighbours, and a zero point where one is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SHRINKS = np.linspace(0.75, 1.1, 15)
"""Scales that are tried for 4 bits, as shares of the one that clips nothing."""
PIECE = 2**22
"""Elements that are coded at once."""


@dataclass(frozen=True)
class Codes:
    """real = scale * (code - zero).

    codes: of the weight's shape, int8 for symmetric ones and uint8 for others, whatever their bits.
    scale: float32. zero: uint8, or None for symmetric codes. Per channel both have one element per
    index of `axis`; in blocks they have the weight's shape with ceil(n / block) on `axis`; both are
    scalars where `axis` is None (ONNX DequantizeLinear, opset 21).
    """

    codes: Array
    scale: Array
    zero: Array | None
    bits: int
    axis: int | None = None
    block: int | None = None

    @property
    def size(self) -> int:
        """Bytes, two codes of 4 bits in one."""
        zeros = 0 if self.zero is None else self.zero.size
        return -(-(self.codes.size + zeros) * self.bits // 8) + self.scale.nbytes

    def broadcast(self) -> Codes:
        """The same per channel, with scales and zero points, now float32, of the weight's rank."""
        shape = [1] * self.codes.ndim
        if self.axis is not None:
            shape[self.axis] = -1
        zero = None if self.zero is None else self.zero.astype(np.float32).reshape(shape)
        return replace(self, scale=self.scale.reshape(shape), zero=zero)

    def values(self) -> Array:
        """The real values, float32."""
        scale, zero = self.scale, self.zero
        if self.block and self.axis is not None:
            size = self.codes.shape[self.axis]
            scale = np.repeat(scale, self.block, self.axis).take(range(size), self.axis)
            zero = None if zero is None else np.repeat(zero, self.block, self.axis)
            zero = None if zero is None else zero.take(range(size), self.axis)
        else:
            whole = self.broadcast()
            scale, zero = whole.scale, whole.zero
        shifted = self.codes.astype(np.float32) - np.float32(0 if zero is None else zero)
        real: Array = shifted * scale
        return real


def per_tensor(weight: Array, bits: int, symmetric: bool) -> Codes:
    codes, scale, zero = _rows(weight.reshape(1, -1), bits, symmetric)
    return Codes(
        codes.reshape(weight.shape),
        scale.reshape(()),
        None if zero is None else zero.reshape(()),
        bits,
    )


def per_channel(weight: Array, bits: int, axis: int, symmetric: bool) -> Codes:
    """One scale per index of `axis`, the output axis."""
    moved = np.moveaxis(weight, axis, 0)
    codes, scale, zero = _rows(moved.reshape(len(moved), -1), bits, symmetric)
    return Codes(np.moveaxis(codes.reshape(moved.shape), 0, axis), scale, zero, bits, axis)


def in_blocks(weight: Array, bits: int, axis: int, block: int, symmetric: bool) -> Codes:
    """One scale per `block` neighbours along `axis`, the input axis; the last block may be short."""
    moved = np.moveaxis(weight, axis, -1)
    size = moved.shape[-1]
    padding = [(0, 0)] * (moved.ndim - 1) + [(0, -size % block)]
    padded = np.pad(moved, padding)
    codes, scale, zero = _rows(padded.reshape(-1, block), bits, symmetric)
    groups = (*padded.shape[:-1], padded.shape[-1] // block)

    def back(values: Array, shape: tuple[int, ...]) -> Array:
        return np.moveaxis(values.reshape(shape), -1, axis)

    return Codes(
        back(codes.reshape(padded.shape)[..., :size], moved.shape),
        back(scale, groups),
        None if zero is None else back(zero, groups),
        bits,
        axis,
        block,
    )


def _rows(rows: Array, bits: int, symmetric: bool) -> tuple[Array, Array, Array | None]:
    """Codes, scales and zero points of a matrix with one group per row."""
    if symmetric:
        return (*_symmetric(rows, bits), None)
    low, high = rows.min(1).clip(max=0), rows.max(1).clip(min=0)
    scale = _scale((high.astype(np.float64) - low) / (2**bits - 1))
    zero = np.rint(-low / scale).astype(np.uint8)
    codes = np.rint(rows / scale[:, None]) + zero[:, None]
    return codes.clip(0, 2**bits - 1).astype(np.uint8), scale, zero


def _symmetric(rows: Array, bits: int) -> tuple[Array, Array]:
    top = 2 ** (bits - 1) - 1
    largest = np.abs(rows).max(1)
    if bits > 4:
        scale = _scale(largest / top)
        return np.rint(rows / scale[:, None]).clip(-top, top).astype(np.int8), scale
    # With so few levels, clipping the largest costs less than widening the steps of all others.
    codes, scales = np.empty(rows.shape, np.int8), np.empty(len(rows), np.float32)
    step = max(1, PIECE // rows.shape[1])
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        best = np.full(len(part), np.inf)
        for shrink in SHRINKS:
            scale = _scale(largest[start : start + step] / top * shrink)
            tried = np.rint(part / scale[:, None]).clip(-top - 1, top)
            error = ((tried * scale[:, None] - part) ** 2).sum(1)
            better = error < best
            best[better] = error[better]
            scales[start : start + step][better] = scale[better]
            codes[start : start + step][better] = tried[better]
    return codes, scales


def _scale(steps: Array) -> Array:
    """Steps in float32; 1 where all values of a group are 0 or too small for a step."""
    stored = steps.astype(np.float32)
    return np.where(stored > np.finfo(np.float32).tiny, stored, np.float32(1))
