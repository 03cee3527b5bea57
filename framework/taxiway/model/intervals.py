"""Confidence intervals of shares, and of differences of them."""

from __future__ import annotations

import math

Z95 = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""


def wilson(share: float, n: int, z: float = Z95) -> tuple[float, float]:
    """The score interval of a share of `n` trials (E. B. Wilson, 1927), within 0..1; n above 0."""
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def paired_difference(both: int, first: int, second: int, neither: int) -> tuple[float, float]:
    """The 95 % interval of (first - second) / n, two shares of the same n rows.

    both, first, second, neither: rows that both have right, only the first, only the second, or none of
    the two. Newcombe's hybrid score interval: the Wilson intervals of the two shares, joined by their
    correlation (method 10 of R. G. Newcombe, "Improved confidence intervals for the difference between
    binomial proportions based on paired data", Statistics in Medicine 17, 1998).
    """
    n = both + first + second + neither
    one, other = (both + first) / n, (both + second) / n
    low_one, high_one = wilson(one, n)
    low_other, high_other = wilson(other, n)
    phi = _correlation(both, first, second, neither)
    down = _joined(one - low_one, high_other - other, phi)
    up = _joined(high_one - one, other - low_other, phi)
    difference = (first - second) / n
    return max(difference - down, -1.0), min(difference + up, 1.0)


def _correlation(both: int, first: int, second: int, neither: int) -> float:
    """Phi of the table, with Newcombe's correction for continuity; 0 where a margin is empty."""
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    if not margins:
        return 0.0
    product = both * neither - first * second
    half = (both + first + second + neither) / 2
    return (max(product - half, 0.0) if product > 0 else product) / math.sqrt(margins)


def _joined(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(one * one - 2 * phi * one * other + other * other, 0.0))
