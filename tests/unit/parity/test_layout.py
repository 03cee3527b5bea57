"""Tensors are found again in any layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.parity.layout import layouts
from taxiway.parity.noise import shaken
from taxiway.parity.relative import Deviation, deviation, relative_error
from taxiway.parity.values import Values

TIGHT = Deviation(1e-6, 1e-6)


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    seed=st.integers(0, 100),
    data=st.data(),
)
def test_every_order_of_the_axes_is_among_the_layouts(
    shape: list[int], seed: int, data: st.DataObject
) -> None:
    value = np.random.default_rng(seed).standard_normal(shape)
    order = data.draw(st.permutations(range(len(shape))))
    moved = value.transpose(order)

    found = [layout.arrange(value, moved.shape) for layout in layouts(value.shape, moved.shape)]

    assert any(np.array_equal(one, moved) for one in found)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(lambda v: v, True, id="as it is"),
        pytest.param(lambda v: v.transpose(0, 3, 1, 2), True, id="channels first"),
        pytest.param(lambda v: v.reshape(2, -1, 7), True, id="space flattened"),
        pytest.param(lambda v: v[..., None], True, id="an axis more"),
        pytest.param(lambda v: v * (1 + 1e-8), True, id="rounded"),
        pytest.param(lambda v: v * 1.001, False, id="scaled"),
        pytest.param(lambda v: v[..., ::-1], False, id="channels reversed"),
        pytest.param(lambda v: v[:, 1:], False, id="cropped"),
    ],
)
def test_a_tensor_is_found_by_its_content(change: object, found: bool, tmp_path: Path) -> None:
    value = np.random.default_rng(0).standard_normal((2, 5, 6, 7))
    values = Values(tmp_path)
    values.add("other", np.random.default_rng(1).standard_normal((2, 5, 6, 7)))
    values.add("it", value)

    names = [match.name for match in values.matches(change(value), TIGHT)]  # type: ignore[operator]

    assert names == (["it"] if found else [])


@pytest.mark.parametrize(
    ("actual", "expected", "error"),
    [
        pytest.param([1.0, 2.0], [1.0, 2.0], 0.0, id="equal"),
        pytest.param([1.0, 3.0], [1.0, 2.0], 0.5, id="the worst element"),
        pytest.param([np.nan, 1.0], [np.nan, 1.0], 0.0, id="nan on both sides"),
        pytest.param([np.inf, 1.0], [np.inf, 1.0], 0.0, id="inf on both sides"),
        pytest.param([np.nan, 1.0], [0.0, 1.0], np.inf, id="nan on one side"),
        pytest.param([1e-9, 0.0], [0.0, 0.0], np.inf, id="something for nothing"),
    ],
)
def test_errors_are_relative_to_the_scale(
    actual: list[float], expected: list[float], error: float
) -> None:
    assert relative_error(np.array(actual), np.array(expected)) == pytest.approx(error)


def test_shapes_must_agree() -> None:
    assert deviation(np.zeros((2, 3)), np.zeros((3, 2))).whole == np.inf


@given(size=st.integers(1, 500), step=st.floats(1e-3, 10))
def test_shaking_has_the_variance_of_rounding(size: int, step: float) -> None:
    value = np.zeros(size)
    moved = shaken("x", value, step)

    assert set(np.round(np.abs(moved) / step, 6)) <= {0.0, 1.0}
    assert np.count_nonzero(moved) == max(1, round(size / 12))
    assert np.array_equal(moved, shaken("x", value, step))
