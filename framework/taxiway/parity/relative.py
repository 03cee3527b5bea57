"""How far an array is from what it should be, relative to the scale of what it should be."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
EPS32 = float(np.finfo(np.float32).eps)
_CHUNK = 2**20


class Deviation(NamedTuple):
    """whole: ||a - e|| / ||e||. worst: max|a - e| / max|e|. Also a bound on both."""

    whole: float
    worst: float

    def within(self, bound: Deviation) -> bool:
        return bool(self.whole <= bound.whole and self.worst <= bound.worst)

    def widened(self, other: Deviation, factor: float = 1.0) -> Deviation:
        """The larger of this and `factor` times the other, each for itself."""
        return Deviation(
            max(self.whole, factor * other.whole), max(self.worst, factor * other.worst)
        )


EQUAL = Deviation(0.0, 0.0)
DIFFERENT = Deviation(float("inf"), float("inf"))


def relative_error(actual: Array, expected: Array) -> float:
    """The larger part of `deviation`."""
    return max(deviation(actual, expected))


def deviation(actual: Array, expected: Array) -> Deviation:
    """The error of the whole and of the worst element, summed in float64.

    Text and booleans: the share of elements that differ. Infinite where the shapes differ, where only one side is no
    finite number, or where all of `expected` is 0 and `actual` is not.
    """
    if actual.shape != expected.shape:
        return DIFFERENT
    if not actual.size:
        return EQUAL
    if actual.dtype.kind not in "iufc" and not _is_extension(actual):
        return Deviation(*2 * (float(np.mean(actual != expected)),))
    a, e = actual.reshape(-1), expected.reshape(-1)
    total = scale = worst = top = 0.0
    for start in range(0, a.size, _CHUNK):
        piece_a = _wide(a[start : start + _CHUNK])
        piece_e = _wide(e[start : start + _CHUNK])
        same = (piece_a == piece_e) | (np.isnan(piece_a) & np.isnan(piece_e))
        if not np.all(same | (np.isfinite(piece_a) & np.isfinite(piece_e))):
            return DIFFERENT
        with np.errstate(invalid="ignore"):
            difference = np.abs(np.where(same, 0, piece_a - piece_e))
        magnitude = np.abs(np.where(np.isfinite(piece_e), piece_e, 0))
        total += float(np.dot(difference, difference))
        scale += float(np.dot(magnitude, magnitude))
        worst, top = max(worst, float(difference.max())), max(top, float(magnitude.max()))
    if worst == 0.0:
        return EQUAL
    if top == 0.0:
        return DIFFERENT
    return Deviation(float(np.sqrt(total / scale)) if scale else 0.0, worst / top)


def _wide(values: Array) -> Array:
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


def _is_extension(values: Array) -> bool:
    """bfloat16 and the float8 types of ml_dtypes, whose kind is that of raw bytes."""
    return bool(values.dtype.kind == "V")


def extent(values: Array) -> tuple[float, float] | None:
    """Smallest and largest value; None for text and for nothing."""
    if not values.size or values.dtype.kind not in "biufV":
        return None
    wide = values.astype(np.float64)
    return float(np.min(wide)), float(np.max(wide))
