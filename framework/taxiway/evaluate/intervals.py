"""Confidence intervals of shares."""

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
