"""How far one tensor is from another: relative to the reference's scale, with float64 sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

TINY = 1e-12
"""A root mean square below this is that of an output that is zero."""
_LEAST_SPREAD = 0.25
"""An output that hardly varies is judged by a quarter of its size."""


@dataclass(frozen=True)
class Deviation:
    """Errors of one output, each divided by the output's scale.

    total: root mean square over all elements (relative L2). sample: the largest of the samples.
    element: the largest absolute error. One bad sample of many, or a few bad elements, hardly move
    the total; they are what the other two see.
    """

    total: float
    sample: float
    element: float

    def over(self, other: Deviation) -> Deviation:
        """The larger one of each."""
        return Deviation(
            max(self.total, other.total),
            max(self.sample, other.sample),
            max(self.element, other.element),
        )

    def times(self, factor: float) -> Deviation:
        return Deviation(factor * self.total, factor * self.sample, factor * self.element)

    def within(self, other: Deviation) -> Deviation:
        """The smaller one of each."""
        return Deviation(
            min(self.total, other.total),
            min(self.sample, other.sample),
            min(self.element, other.element),
        )

    def __le__(self, limit: Deviation) -> bool:
        return (
            self.total <= limit.total
            and self.sample <= limit.sample
            and self.element <= limit.element
        )


NONE = Deviation(0.0, 0.0, 0.0)


def real(values: Array) -> Array:
    """float64; a complex tensor gets an axis for its real and imaginary parts."""
    if values.dtype.kind == "c":
        return np.stack([values.real, values.imag], axis=-1).astype(np.float64)
    return values.astype(np.float64)


def scale_of(reference: Array) -> float:
    """Root mean square of the finite values; 1 for an output that is zero or has none."""
    values = real(reference)
    values = values[np.isfinite(values)]
    size = float(np.sqrt(np.mean(values**2))) if values.size else 0.0
    return size if size > TINY else 1.0


def spread_of(reference: Array) -> float:
    """Root mean square of what changes from sample to sample: an output's offset carries no signal.

    Bounded from below by a quarter of `scale_of`, for outputs that hardly change.
    """
    values = real(reference)
    finite = np.isfinite(values)
    values = np.where(finite, values, 0.0)
    centre = values.mean(axis=0) if values.ndim and len(values) > 1 else values.mean()
    spread = float(np.sqrt(np.mean((values - centre) ** 2))) if values.size else 0.0
    return max(spread, _LEAST_SPREAD * scale_of(reference))


def deviation(reference: Array, candidate: Array, scale: float) -> Deviation:
    """The errors of `candidate`, of the reference's shape `[n, ...]`, where both are finite."""
    error = distances(reference, candidate)
    error = error[None] if error.ndim == 0 else error
    error = np.where(np.isfinite(error), error, 0.0)
    if not error.size:
        return NONE
    squares = (error**2).reshape(len(error), -1)
    return Deviation(
        total=float(np.sqrt(squares.mean())) / scale,
        sample=float(np.sqrt(squares.mean(axis=1).max())) / scale,
        element=float(error.max()) / scale,
    )


def distances(reference: Array, candidate: Array) -> Array:
    """Absolute differences in float64; NaN between infinities of one sign."""
    with np.errstate(invalid="ignore"):
        found: Array = np.abs(real(candidate) - real(reference))
    return found


def same_specials(reference: Array, candidate: Array) -> bool:
    """Whether NaN, +inf and -inf stand at the same places."""
    a, b = real(reference), real(candidate)
    return all(
        bool(np.array_equal(test(a), test(b))) for test in (np.isnan, np.isposinf, np.isneginf)
    )


def mismatch(reference: Array, candidate: Array) -> float:
    """The share of elements that differ, for integers, booleans and text."""
    a, b = plain(reference), plain(candidate)
    return float(np.mean(a != b)) if a.size else 0.0


def plain(values: Array) -> Array:
    """Text as `str`, whatever a runtime gives it as; numbers as they are."""
    if values.dtype.kind not in "SUO":
        return values
    flat = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values.flat]
    return np.array(flat, dtype=object).reshape(values.shape)
