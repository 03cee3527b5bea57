"""Whether rows of numbers are noise: nothing connects their columns, and no column differs from another.

The largest eigenvalue of the covariance of pure noise ends at the edge that Marchenko and Pastur give
("Distribution of eigenvalues for some sets of random matrices", 1967), whatever the noise is drawn from.
Pictures, sounds, measurements and token ids lie far beyond it: they have a mean that differs from place to
place, or neighbours that resemble each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ROWS, COLUMNS = 256, 256
POWER = 4
"""Units that the largest eigenvalue must be able to reach, else nothing is said: few rows of few columns
cannot show structure. 16 rows of 16 columns can, or 64 of 8."""
NOISE, STRUCTURE = 1.3, 1.6
"""Largest eigenvalue, in units of that edge, up to which rows count as noise, and from which on they do not
for certain; noise itself has about 1."""


def structure(rows: Array) -> float | None:
    """The largest eigenvalue of `rows` [n, d] in units of noise's; the larger of two views of the columns.

    1 is noise. One view takes neighbours from the middle, for sounds have no place of their own; the other
    takes columns from everywhere. None where there are too few rows or columns, or all are one value.
    """
    if not rows.size:
        return None
    d = rows.shape[1]
    middle = max(0, (d - COLUMNS) // 2)
    views = (
        rows[:ROWS, middle : middle + COLUMNS],
        rows[:ROWS, np.linspace(0, d - 1, min(d, COLUMNS)).astype(int)],
    )
    found = [_edge_units(view.astype(np.float64)) for view in views]
    known = [value for value in found if value is not None]
    return max(known, default=None)


def is_noise(found: float | None) -> bool:
    return found is not None and found < NOISE


def is_structured(found: float | None) -> bool:
    return found is not None and found > STRUCTURE


def _edge_units(view: Array) -> float | None:
    n, d = sorted(view.shape)
    edge = (1 + (n / d) ** 0.5) ** 2
    if n / edge < POWER:
        return None
    view = view - view.mean()
    deviation = view.std()
    if not deviation > 0:
        return None
    view = view / deviation
    view = view if len(view) == n else view.T
    return float(np.linalg.eigvalsh(view @ view.T / d)[-1] / edge)
