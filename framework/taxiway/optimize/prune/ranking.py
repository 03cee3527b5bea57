"""Which units are kept: the most important ones of each weight, or of all weights together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from taxiway.optimize.prune.magnitude import Scope
from taxiway.optimize.prune.units import Scored, Units

Array = np.ndarray[Any, Any]


def masks_of(
    matrices: Mapping[str, Array], sparsity: float, units: Units, scope: Scope
) -> dict[str, Array]:
    """Booleans of each matrix's shape, true where a weight is kept.

    As many elements as whole units allow are dropped, never more than `sparsity` of them. The most important
    unit of each weight is kept: no layer becomes all zero.
    """
    if scope == "layer":
        kept = {}
        for name, matrix in matrices.items():
            scored = units(matrix)
            drop = round(sparsity * matrix.size)
            spared = _spared(scored, matrix)
            kept[name] = scored.mask(_kept(scored.importance, scored.sizes, drop, spared))
        return kept
    scored_by_name = {name: units(matrix) for name, matrix in matrices.items()}
    scores = [_lamp(scored) for scored in scored_by_name.values()]
    sizes = [scored.sizes for scored in scored_by_name.values()]
    drop = round(sparsity * sum(matrix.size for matrix in matrices.values()))
    spared = sum(_spared(scored_by_name[name], matrix) for name, matrix in matrices.items())
    chosen = _kept(np.concatenate(scores), np.concatenate(sizes), drop, spared)
    ends = np.cumsum([len(score) for score in scores])[:-1]
    parts = np.split(chosen, ends)
    return {
        name: scored.mask(part)
        for (name, scored), part in zip(scored_by_name.items(), parts, strict=True)
    }


def _spared(scored: Scored, matrix: Array) -> int:
    """Units of a weight that stay, whatever the sparsity: one where they are all of it."""
    return int(len(scored.sizes) > 0 and int(scored.sizes.sum()) == matrix.size)


def _kept(importance: Array, sizes: Array, drop: int, spared: int) -> Array:
    """Booleans: all but the least important units, whose sizes sum to `drop` at most."""
    kept, most = np.ones(len(importance), bool), len(importance) - spared
    if not most:
        return kept
    even = int(sizes[0])
    if (sizes == even).all():
        count = min(drop // even, most)
        if count == len(kept):
            kept[:] = False
        elif count > 0:
            kept[np.argpartition(importance, count)[:count]] = False
        return kept
    order = np.argsort(importance, kind="stable")
    kept[order[:most][np.cumsum(sizes[order[:most]]) <= drop]] = False
    return kept


def _lamp(scored: Scored) -> Array:
    """Importance that is comparable between layers: the square of a unit's magnitude, over the sum of
    squares of all that are not smaller in its layer.

    J. Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning", ICLR 2021, equation 4. The
    largest unit of each layer has 1, so that it is kept.
    """
    squares = np.square(scored.importance, dtype=np.float64)
    order = np.argsort(squares, kind="stable")[::-1]
    sums = np.cumsum(squares[order])
    scores = np.zeros(len(squares))
    np.divide(squares[order], sums, out=sums, where=sums > 0)
    scores[order] = sums
    return scores
