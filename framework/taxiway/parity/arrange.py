"""Axes in another order: images and sequences with channels first or last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Axes = tuple[int | str, ...]


def channel_moves(rank: int) -> Iterator[tuple[int, ...]]:
    """The permutations between channels first and channels last, for samples along axis 0."""
    if rank >= 3:
        last = rank - 1
        yield (0, last, *range(1, last))
        yield (0, *range(2, rank), 1)


def fits(shape: tuple[int, ...], axes: Axes) -> bool:
    """Whether an array of `shape` can be a tensor of these axes, a name or 0 and below being free.

    The first axis counts samples and may be of any size.
    """
    return len(shape) == len(axes) and all(
        isinstance(want, str) or want == have
        for have, want in zip(shape[1:], axes[1:], strict=True)
    )


def arranged(array: Array, axes: Axes) -> Array:
    """`array` in the order of `axes`: as it is where it fits, else with its channels moved.

    An array that fits in no order comes back unchanged; the runner then says what is wrong.
    """
    if axes == ("...",) or fits(array.shape, axes):
        return array
    for order in channel_moves(array.ndim):
        if fits(tuple(array.shape[axis] for axis in order), axes):
            return array.transpose(order)
    return array


def aligned(reference: Array, candidate: Array) -> Array | None:
    """`candidate` in the reference's shape: equal, but for axes of 1, or with its channels moved.

    None where the shapes cannot be reconciled. Equal shapes are never reordered.
    """
    if candidate.shape == reference.shape:
        return candidate
    for order in channel_moves(candidate.ndim):
        if tuple(candidate.shape[axis] for axis in order) == reference.shape:
            return candidate.transpose(order)
    if _without_ones(candidate.shape) == _without_ones(reference.shape):
        return candidate.reshape(reference.shape)
    return None


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
