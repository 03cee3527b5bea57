"""k-means on a line: few values, none drawn to a zero, and never worse than where it starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from taxiway.optimize.cluster.kmeans import shared_values

NUMBERS = st.floats(-1e6, 1e6, width=32)
WEIGHTS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=12),
    elements=st.one_of(NUMBERS, st.sampled_from([0.0, 1.0, -1.0])),
)


def _error(values: Any, table: Any, group: Any) -> float:
    return float(np.sum((values.astype(np.float64) - table[group]) ** 2))


@settings(deadline=None)
@given(values=WEIGHTS, count=st.integers(2, 20), zeros=st.booleans())
def test_few_values_stand_for_the_nearest(values: Any, count: int, zeros: bool) -> None:
    table, group = shared_values(values, count, zeros)
    assert table.dtype == np.float32 and group.shape == values.shape
    assert 1 <= len(table) <= count
    assert np.all(np.diff(table) > 0)
    assert set(np.unique(group)) <= set(range(len(table)))
    assert values.min() <= table.min() and table.max() <= values.max()
    if not (zeros and (values == 0).any()):
        distances = np.abs(values.astype(np.float64)[..., None] - table.astype(np.float64))
        chosen = np.take_along_axis(distances, group[..., None].astype(np.int64), -1)[..., 0]
        np.testing.assert_allclose(chosen, distances.min(-1), rtol=1e-5)


@settings(deadline=None)
@given(values=WEIGHTS, count=st.integers(2, 20))
def test_zeros_stay_and_draw_nothing(values: Any, count: int) -> None:
    table, group = shared_values(values, count, keep_zeros=True)
    after = table[group]
    assert np.all(after[values == 0] == 0)
    if count > 2 and not np.any(values < 0):
        assert np.count_nonzero(after) == np.count_nonzero(values)


@settings(deadline=None)
@given(values=WEIGHTS, zeros=st.booleans())
def test_few_already_stay(values: Any, zeros: bool) -> None:
    table, group = shared_values(values, np.unique(values).size + 1, zeros)
    np.testing.assert_array_equal(table[group], values)


@settings(deadline=None)
@given(values=WEIGHTS, count=st.integers(2, 20))
def test_not_worse_than_equal_distances(values: Any, count: int) -> None:
    table, group = shared_values(values, count)
    start = np.linspace(values.min(), values.max(), count)
    nearest = start[np.abs(values.astype(np.float64)[..., None] - start).argmin(-1)]
    before = float(np.sum((values - nearest) ** 2))
    scale = float(np.sum(values.astype(np.float64) ** 2))
    assert _error(values, table, group) <= before * (1 + 1e-6) + scale * 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_near_the_optimum_of_a_real_distribution(seed: int) -> None:
    """16 values for a normal weight: the optimal quantizer of 16 levels has an error of 0.009497 of the
    variance (J. Max, "Quantizing for Minimum Distortion", 1960, table I)."""
    values = np.random.default_rng(seed).normal(size=50_000).astype(np.float32)
    table, group = shared_values(values, 16)
    assert len(table) == 16
    assert _error(values, table, group) / values.size < 0.009497 * 1.06


def test_exactly_as_many_as_wanted_with_an_outlier() -> None:
    """Centroids at equal distances would leave most of them empty."""
    values = np.append(np.linspace(-1, 1, 1000), 1000).astype(np.float32)
    table, group = shared_values(values, 8)
    assert len(table) == 8 and table[-1] == 1000
    assert _error(values, table, group) < 10
