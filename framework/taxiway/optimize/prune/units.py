"""What is pruned as one: an element, a block, or the lower two of four neighbours.

Weights are matrices [outputs, inputs] here; `PrunedWeight` says how a weight becomes one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from taxiway.model.promises import Pattern

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Scored:
    """Units of a matrix: the importance of each, how many elements it would make zero, and `mask`.

    mask: booleans `[units]`, true for those that are kept -> booleans of the matrix, true where it is.
    """

    importance: Array
    sizes: Array
    mask: Callable[[Array], Array]


class Units(Protocol):
    def __call__(self, matrix: Array) -> Scored:
        """The units of a matrix; importance is a mean magnitude, float32."""


def units_of(pattern: Pattern | None, block: tuple[int, int]) -> Units:
    if pattern == "2:4":
        return lower_two
    if pattern == "block":
        return lambda matrix: blocks(matrix, *block)
    return elements


def elements(matrix: Array) -> Scored:
    shape = matrix.shape
    return Scored(
        np.abs(matrix, dtype=np.float32).ravel(),
        np.ones(matrix.size, np.int64),
        lambda kept: kept.reshape(shape),
    )


def blocks(matrix: Array, rows: int, columns: int) -> Scored:
    """Blocks of `rows` x `columns`; those at the lower and right edges may be smaller."""
    height, width = matrix.shape
    down, right = -(-height // rows), -(-width // columns)

    def summed(values: Array) -> Array:
        padded = np.zeros((down * rows, right * columns), values.dtype)
        padded[:height, :width] = values
        total: Array = padded.reshape(down, rows, right, columns).sum(axis=(1, 3))
        return total.ravel()

    sizes = summed(np.ones(matrix.shape, np.int64))
    total = summed(np.abs(matrix, dtype=np.float32))

    def mask(kept: Array) -> Array:
        whole = kept.reshape(down, right).repeat(rows, axis=0).repeat(columns, axis=1)
        return whole[:height, :width]

    return Scored(total / sizes, sizes, mask)


def lower_two(matrix: Array) -> Scored:
    """The two smallest of every four neighbouring inputs; inputs that make no four are kept."""
    height, width = matrix.shape
    whole = width - width % 4
    fours = np.abs(matrix[:, :whole], dtype=np.float32).reshape(-1, 4)
    order = np.argsort(fours, axis=1, kind="stable")
    lower = np.take_along_axis(fours, order[:, :2], axis=1)

    def mask(kept: Array) -> Array:
        dense = np.ones((len(fours), 4), bool)
        np.put_along_axis(dense, order[:, :2], np.repeat(kept[:, None], 2, axis=1), axis=1)
        result = np.ones((height, width), bool)
        result[:, :whole] = dense.reshape(height, whole)
        return result

    return Scored(lower.mean(axis=1), np.full(len(fours), 2, np.int64), mask)
