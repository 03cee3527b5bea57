"""Counts of a stream, and the ranges that methods make of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from taxiway.optimize.quantize.histogram import (
    BINS,
    Histogram,
    distribution,
    entropy,
    percentile,
)

Array = np.ndarray[Any, Any]
VALUES = hnp.arrays(
    np.float32, st.integers(1, 60), elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
)


def counted(*parts: Array) -> Histogram:
    found = Histogram()
    for part in parts:
        found.add(part)
    return found


@given(st.lists(VALUES, min_size=1, max_size=3))
def test_a_stream_counts_every_value_once(parts: list[Array]) -> None:
    found, values = counted(*parts), np.concatenate(parts)
    assert found.counts.sum() == values.size
    assert (found.lowest, found.highest) == (values.min(), values.max())
    assert found.limit >= np.abs(values).max()
    assert len(found.counts) == BINS


@given(st.lists(VALUES, min_size=1, max_size=3))
def test_values_are_in_their_bins(parts: list[Array]) -> None:
    found, values = counted(*parts), np.concatenate(parts)
    width = 2 * found.limit / BINS
    for value in (values.min(), values.max()):
        near = np.abs(found.centres - value) <= 1.01 * width
        assert found.counts[near].sum() > 0


@given(VALUES, VALUES, st.floats(50.1, 100), st.sampled_from([8, 16]))
def test_a_range_lies_within_the_values(
    first: Array, second: Array, share: float, bits: int
) -> None:
    found = counted(first, second)
    for low, high in (percentile(found, share), distribution(found, bits), entropy(found, 8)):
        assert found.lowest <= low <= high <= found.highest


@given(VALUES)
def test_all_percent_are_the_extremes(values: Array) -> None:
    found = counted(values)
    low, high = percentile(found, 100)
    width = 2 * found.limit / BINS
    assert low == pytest.approx(values.min(), abs=1.01 * width)
    assert high == pytest.approx(values.max(), abs=1.01 * width)


@pytest.mark.parametrize("share", [90, 99, 99.9])
def test_a_percentile_is_that_of_the_values(share: float) -> None:
    values = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    cut = (100 - share) / 2
    expected = np.percentile(values, [cut, 100 - cut])
    assert percentile(counted(*np.split(values, 10)), share) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("bits", "times"), [(8, 9.89), (4, 5.03), (2, 2.83)])
def test_distribution_cuts_where_the_paper_does(bits: int, times: float) -> None:
    """The factors are those of Banner et al. 2019 for a Laplace distribution."""
    values = np.random.default_rng(0).laplace(size=2_000_000).astype(np.float32)
    low, high = distribution(counted(values), bits)
    assert high == pytest.approx(times, rel=0.02)
    assert low == pytest.approx(-times, rel=0.02)


def test_entropy_cuts_an_outlier_off() -> None:
    values = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    values[0] = 100
    low, high = entropy(counted(values), 8)
    assert low == values.min()
    assert 3 < high < 20


def test_entropy_keeps_an_even_spread() -> None:
    values = np.linspace(-1, 1, 100_001, dtype=np.float32)
    assert entropy(counted(values), 8) == pytest.approx((-1, 1), abs=0.1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=["NaN", "Inf", "-Inf"])
def test_what_is_not_finite_is_noted_and_not_counted(bad: float) -> None:
    found = counted(np.array([1, bad, -2], np.float32))
    assert not found.finite
    assert (found.lowest, found.highest, found.counts.sum()) == (-2, 1, 2)


@pytest.mark.parametrize("method", [entropy, distribution])
def test_zeros_alone_have_a_range(method: Any) -> None:
    assert method(counted(np.zeros(5, np.float32)), 8) == (0, 0)
