"""Sizes that hang together stay together, whatever the width."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.optimize.distill.student.extents import FIXED, Groups, concatenated

widths = st.floats(min_value=0.01, max_value=1)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), widths)
def test_a_sum_is_the_sum_of_its_parts(sizes: list[int], width: float) -> None:
    groups = Groups()
    parts = [groups.new(size) for size in sizes]
    scaled = [groups.scaled(part, width) for part in parts]
    assert groups.scaled(concatenated(parts), width) == sum(n for n in scaled if n is not None)
    assert all(n is not None and 1 <= n <= size for n, size in zip(scaled, sizes, strict=True))


@given(st.integers(1, 64), st.integers(1, 49), widths)
def test_a_multiple_stays_whole(channels: int, pixels: int, width: float) -> None:
    """Dense -> Reshape: units are a multiple of the pixels."""
    groups = Groups()
    units = groups.new(channels * pixels)
    folded = groups.times(units, Fraction(1, pixels))
    assert groups.scaled(units, width) == pixels * (groups.scaled(folded, width) or 0)


@given(st.integers(1, 40), st.integers(1, 40), widths)
def test_what_meets_stays_equal(one: int, other: int, width: float) -> None:
    groups = Groups()
    first, second = groups.new(one * other), groups.new(one * other)
    groups.divide(first, one)
    groups.join(first, second)
    groups.divide(second, other)
    assert groups.scaled(first, width) == groups.scaled(second, width)
    assert (
        (groups.scaled(first, width) or 1) % one == 0 == (groups.scaled(second, width) or 1) % other
    )


@pytest.mark.parametrize("width", [0.1, 0.5, 1.0])
def test_what_is_pinned_stays(width: float) -> None:
    groups = Groups()
    first, second = groups.new(12), groups.new(12)
    groups.pin(second)
    groups.join(first, second)
    assert groups.scaled(first, width) == 12
    assert groups.scaled(groups.join(groups.new(5), FIXED), width) == 5
    assert groups.scaled(FIXED, width) is None


def test_sums_that_meet_otherwise_are_pinned() -> None:
    groups = Groups()
    parts = groups.new(4), groups.new(6)
    whole = groups.new(10)
    groups.join(concatenated(parts), whole)
    assert [groups.scaled(extent, 0.5) for extent in (*parts, whole)] == [4, 6, 10]
