"""Confidence intervals of shares, against values from elsewhere and against their own properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from taxiway.model.intervals import paired_difference, wilson


@given(n=st.integers(1, 100_000), data=st.data())
def test_wilson_is_that_of_scipy(n: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, n))
    low, high = wilson(right / n, n)
    expected = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-9)
    assert high == pytest.approx(expected.high, abs=1e-9)
    assert 0 <= low <= right / n + 1e-12 and right / n - 1e-12 <= high <= 1


@given(share=st.floats(0, 1), n=st.integers(1, 1000))
def test_more_samples_narrow_it(share: float, n: int) -> None:
    first, second = wilson(share, n), wilson(share, 4 * n)
    assert second[1] - second[0] < first[1] - first[0]


TABLES = st.tuples(*[st.integers(0, 500)] * 4).filter(lambda table: sum(table) > 0)


def test_a_paired_difference_that_was_published() -> None:
    """M. W. Fagerland, S. Lydersen, P. Laake, "Recommended tests and confidence intervals for paired
    binomial proportions", Statistics in Medicine 33 (2014): airway hyper-responsiveness, Newcombe."""
    assert paired_difference(1, 1, 7, 12) == pytest.approx((-0.507, -0.026), abs=0.0005)


@given(table=TABLES)
def test_a_paired_interval_holds_its_difference(table: tuple[int, int, int, int]) -> None:
    low, high = paired_difference(*table)
    assert -1 <= low <= (table[1] - table[2]) / sum(table) <= high <= 1


@given(table=TABLES)
def test_a_paired_interval_is_the_other_way_round_for_models_swapped(
    table: tuple[int, int, int, int],
) -> None:
    both, first, second, neither = table
    low, high = paired_difference(both, first, second, neither)
    assert paired_difference(both, second, first, neither) == pytest.approx((-high, -low))


def test_a_paired_interval_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    shares = np.array([0.85, 0.06, 0.03, 0.06])
    tables = random.multinomial(200, shares, size=2000)
    held = [low <= 0.03 <= high for low, high in (paired_difference(*map(int, t)) for t in tables)]
    assert 0.935 <= np.mean(held) <= 0.975
