"""Which axes a reshape splits or merges, and where the channels are afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from taxiway.optimize.channels.numbering import Ids


def blocks(before: Sequence[int], after: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """The smallest runs of axes, of both shapes, that hold the same elements, in order.

    Shapes have the same number of elements; axes of size 1 at the end may have no counterpart.
    """
    i = j = 0
    while i < len(before) or j < len(after):
        one: list[int] = []
        other: list[int] = []
        left = right = 1
        while not (one and other and left == right):
            lone = left == 1 and not other and j < len(after) and after[j] != 1
            if i < len(before) and (not one or left < right or lone or j == len(after)):
                one.append(i)
                left, i = left * before[i], i + 1
            elif j < len(after):
                other.append(j)
                right, j = right * after[j], j + 1
            else:
                break
        yield one, other


def spread(
    ids: Ids, at: int, before: Sequence[int], after: Sequence[int]
) -> tuple[int, Ids] | None:
    """(axis, numbers along it) of the block after the reshape; None where no single axis has them.

    ids: numbers along axis `at` of the block `before`.
    """
    if int(np.prod(before)) != int(np.prod(after)) or not after:
        return None
    view = [1] * len(before)
    view[at] = len(ids)
    grid = np.broadcast_to(ids.reshape(view), before).reshape(after)
    for axis in range(len(after)):
        first = np.moveaxis(grid, axis, 0).reshape(after[axis], -1)
        if (first == first[:, :1]).all() and (after[axis] > 1 or grid.size == 1):
            return axis, np.ascontiguousarray(first[:, 0])
    return None
