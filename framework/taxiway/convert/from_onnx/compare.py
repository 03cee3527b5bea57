"""Equal up to rounding, and up to the order of the axes: onnx2tf moves channels last."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

TOLERANCE = 1e-3
"""Largest difference in units of the output's scale. Between two float32 runtimes it is below 1e-5
for one operator; a swapped axis or a wrong constant is above. The proof on real samples, which
follows each conversion, has tighter bounds."""


def equal(expected: Array, found: Array) -> bool:
    """Whether `found` has the values of `expected`: exact for integers and booleans, within
    TOLERANCE for reals, where the same entries are infinite or no number."""
    import numpy as np

    if expected.shape != found.shape:
        return False
    if expected.dtype.kind not in "fc":
        return bool(np.array_equal(expected, found))
    finite = np.isfinite(expected)
    if not np.array_equal(expected[~finite], found.astype(expected.dtype)[~finite], equal_nan=True):
        return False
    if not finite.any():
        return True
    wanted = expected[finite].astype(np.float64)
    difference = np.abs(wanted - found[finite].astype(np.float64))
    scale = float(np.abs(wanted).max())
    return bool(np.isfinite(difference).all() and difference.max() <= TOLERANCE * scale + 1e-30)


def order_of_axes(pairs: Sequence[tuple[Array, Array]]) -> tuple[int, ...] | None:
    """The transposition that makes the second array of every pair equal to the first; None where
    there is none. The order they have is tried first, then channels first."""
    rank: int = pairs[0][0].ndim
    if any(array.ndim != rank for pair in pairs for array in pair):
        return None
    kept: tuple[int, ...] = tuple(range(rank))
    first = (0, rank - 1, *range(1, rank - 1)) if rank > 2 else kept
    others = itertools.permutations(kept) if rank <= 6 else ()
    orders: list[tuple[int, ...]] = [kept, first, *others]
    for order in dict.fromkeys(orders):
        if all(equal(wanted, found.transpose(order)) for wanted, found in pairs):
            return order
    return None
