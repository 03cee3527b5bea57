"""Where channels are after a reshape, against NumPy's own reshape."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.optimize.channels.blocks import blocks, spread

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=5)


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Two shapes of one number of elements."""
    before = draw(SIZES)
    left, after = prod(before), []
    while left > 1:
        size = draw(st.sampled_from([n for n in range(2, left + 1) if left % n == 0]))
        after.append(size)
        left //= size
    for at in draw(st.lists(st.integers(0, len(after)), max_size=2)):
        after.insert(at, 1)
    return before, after or [1]


@given(reshapes())
def test_blocks_hold_the_same_elements_in_order(shapes: tuple[list[int], list[int]]) -> None:
    before, after = shapes
    found = list(blocks(before, after))
    assert [at for one, _ in found for at in one] == list(range(len(before)))
    assert [at for _, other in found for at in other] == list(range(len(after)))
    for one, other in found:
        assert prod(before[at] for at in one) == prod(after[at] for at in other)


@given(reshapes(), st.data())
def test_channels_are_where_numpy_puts_them(
    shapes: tuple[list[int], list[int]], data: st.DataObject
) -> None:
    before, after = shapes
    at = data.draw(st.integers(0, len(before) - 1))
    ids = np.arange(10, 10 + before[at])
    view = [1] * len(before)
    view[at] = before[at]
    expected = np.broadcast_to(ids.reshape(view), before).reshape(after)
    placed = spread(ids, at, before, after)
    if placed is not None:
        axis, found = placed
        view = [1] * len(after)
        view[axis] = after[axis]
        np.testing.assert_array_equal(np.broadcast_to(found.reshape(view), after), expected)
    else:
        # No single axis tells the channel.
        for axis in range(len(after)):
            rows = np.moveaxis(expected, axis, 0).reshape(after[axis], -1)
            assert (rows != rows[:, :1]).any() or after[axis] == 1


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([7, 6, 4, 4], [7, 96], [([0], [0]), ([1, 2, 3], [1])]),
        ([7, 6, 1, 1], [7, 6], [([0], [0]), ([1], [1]), ([2, 3], [])]),
        ([1, 6, 4], [1, 24], [([0], [0]), ([1, 2], [1])]),
        ([7, 1, 6], [7, 6], [([0], [0]), ([1, 2], [1])]),
        ([7, 6], [7, 1, 6], [([0], [0]), ([1], [1, 2])]),
        ([7, 12], [7, 3, 4], [([0], [0]), ([1], [1, 2])]),
    ],
    ids=["flatten", "squeeze", "batch of one", "squeeze before", "unsqueeze", "part"],
)
def test_blocks(
    before: list[int], after: list[int], expected: list[tuple[list[int], list[int]]]
) -> None:
    assert list(blocks(before, after)) == expected
