"""Confidence intervals of shares, against values from elsewhere and against their own properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from taxiway.evaluate.intervals import wilson


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
