"""How the values of a tensor spread, counted in a stream, and the range that a method makes of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BINS = 4096
"""Bins over [-limit, limit]; the limit doubles where a value does not fit, so memory stays flat."""
SMALLEST = 1e-30
CANDIDATES = 128
"""Thresholds that the entropy method tries at most."""


class Histogram:
    """Counts of the values of one tensor.

    lowest, highest: extremes of the finite values. finite: whether all values were.
    """

    def __init__(self) -> None:
        self.counts: Array = np.zeros(BINS, np.int64)
        self.limit = 0.0
        self.lowest, self.highest = math.inf, -math.inf
        self.finite = True

    def add(self, values: Array) -> None:
        """Count the values of an array of any shape. NaN and Inf are noted, not counted."""
        flat = np.asarray(values, np.float32).ravel()
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            self.finite = False
            return self.add(flat[np.isfinite(flat)])
        self.lowest, self.highest = min(self.lowest, low), max(self.highest, high)
        self._cover(max(-low, high))
        scale = BINS / 2 / self.limit
        index = ((flat + np.float32(self.limit)) * np.float32(scale)).astype(np.int32)
        self.counts += np.bincount(index.clip(0, BINS - 1), minlength=BINS)

    def _cover(self, size: float) -> None:
        if not self.limit:
            self.limit = max(size, SMALLEST)
        while size > self.limit:
            merged = self.counts.reshape(-1, 2).sum(1)
            self.counts = np.pad(merged, BINS // 4)
            self.limit *= 2

    @property
    def centres(self) -> Array:
        width = 2 * self.limit / BINS
        return (np.arange(BINS) + 0.5) * width - self.limit

    def within(self, low: float, high: float) -> tuple[float, float]:
        """A range, its ends moved to where values are."""
        return (
            min(max(low, self.lowest), self.highest),
            max(min(high, self.highest), self.lowest),
        )


def percentile(found: Histogram, share: float) -> tuple[float, float]:
    """The range that holds `share` percent of the values, with as many left out on each side."""
    cut = (100 - share) / 200
    reached = np.cumsum(found.counts) / found.counts.sum()
    low = int(np.searchsorted(reached, cut, side="right"))
    high = int(np.searchsorted(reached, 1 - cut, side="left"))
    width = 2 * found.limit / BINS
    return found.within(
        min(low, BINS - 1) * width - found.limit, (min(high, BINS - 1) + 1) * width - found.limit
    )


def distribution(found: Histogram, bits: int) -> tuple[float, float]:
    """The range with the least mean squared error, had the values a Laplace distribution.

    Their mean plus and minus r times their mean deviation, where r * exp(r) = 3 * 4 ** bits (Banner,
    Nahshan, Soudry: Post training 4-bit quantization of convolutional networks for
    rapid-deployment, 2019, equation 6): 9.9 for 8 bits.
    """
    total = found.counts.sum()
    mean = float((found.counts * found.centres).sum() / total)
    deviation = float((found.counts * np.abs(found.centres - mean)).sum() / total)
    r = bits * math.log(4)
    for _ in range(50):
        r -= (r + math.log(r) - math.log(3) - bits * math.log(4)) / (1 + 1 / r)
    return found.within(mean - r * deviation, mean + r * deviation)


def entropy(found: Histogram, bits: int) -> tuple[float, float]:
    """The range that keeps most of the distribution's information, by Kullback-Leibler divergence.

    Migacz: 8-bit inference with TensorRT, GTC 2017. The magnitudes are cut at a threshold and merged
    into as many levels as they get; the threshold whose distribution is nearest wins. Zeros, which
    are exact at any threshold, count as their neighbours do.
    """
    half = BINS // 2
    magnitudes = (found.counts[half:] + found.counts[:half][::-1]).astype(np.float64)
    magnitudes[0] = magnitudes[1]
    levels = 2 ** (bits - 1) if found.lowest < 0 < found.highest else 2**bits - 1
    last = int(np.flatnonzero(magnitudes).max(initial=0)) + 1
    if last <= levels:
        return found.within(-found.limit, found.limit)
    tail = np.concatenate([np.cumsum(magnitudes[::-1])[::-1], [0.0]])
    step = max(1, (last - levels) // CANDIDATES)
    best = min(
        range(last, levels, -step), key=lambda n: _divergence(magnitudes[:n], tail[n], levels)
    )
    threshold = best * found.limit / half
    return found.within(-threshold, threshold)


def _divergence(kept: Array, outside: Any, levels: int) -> float:
    """KL divergence of `kept`, with what is outside in its last bin, from itself in `levels` steps."""
    if not kept.any():
        return math.inf
    starts = np.arange(levels) * len(kept) // levels
    sizes = np.diff([*starts, len(kept)])
    filled = kept > 0
    p = kept.copy()
    p[-1] += outside
    shares = np.add.reduceat(kept, starts) / np.maximum(np.add.reduceat(filled * 1, starts), 1)
    q = np.where(filled, np.repeat(shares, sizes), 0.0)
    seen = p > 0
    p, q = p[seen] / p.sum(), np.maximum(q[seen] / q.sum(), 1e-12)
    return float((p * np.log(p / q)).sum())
