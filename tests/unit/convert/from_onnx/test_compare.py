"""Equality up to rounding, and the order of axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from taxiway.convert.from_onnx.compare import equal, order_of_axes

A = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize(
    ("expected", "found", "verdict"),
    [
        (A, A * np.float32(1 + 1e-6), True),
        (A, A * np.float32(1.01), False),
        (A, A[::-1], False),
        (A, A[..., :4], False),
        (np.array([1, 2]), np.array([1, 3]), False),
        (np.array([np.nan, np.inf, 1.0]), np.array([np.nan, np.inf, 1.0]), True),
        (np.array([np.nan, 1.0]), np.array([0.0, 1.0]), False),
        (np.array([np.inf]), np.array([-np.inf]), False),
        (np.array([1.0, 2.0]), np.array([1.0, np.nan]), False),
        (np.zeros(3), np.zeros(3), True),
        (np.zeros(3), np.full(3, 1e-6), False),
        (np.array([True]), np.array([False]), False),
    ],
    ids=[
        *("rounding", "one percent", "reversed", "shape", "integers", "same specials"),
        *("a number for NaN", "sign of infinity", "NaN for a number", "zeros", "noise for zeros"),
        "booleans",
    ],
)
def test_equal(expected: Any, found: Any, verdict: bool) -> None:
    assert equal(expected, found) is verdict


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)], ids=str)
def test_the_order_is_found_again(order: tuple[int, ...]) -> None:
    moved = A.transpose(order)
    found = order_of_axes([(A, moved)])
    assert found is not None
    np.testing.assert_array_equal(moved.transpose(found), A)


def test_one_order_for_all_samples_or_none() -> None:
    square = np.arange(9.0).reshape(1, 3, 3)
    symmetric = square + square.transpose(0, 2, 1)
    assert order_of_axes([(symmetric, symmetric), (square, square.transpose(0, 2, 1))]) == (0, 2, 1)
    assert order_of_axes([(square, square), (square, square + 1)]) is None
    assert order_of_axes([(square, square[0])]) is None
