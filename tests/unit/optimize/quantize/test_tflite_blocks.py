"""Blocks of weights as integers: near what they stand for, and packed as TFLite reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from taxiway.optimize.quantize.tflite.blocks import in_blocks, packed

Array = np.ndarray[Any, Any]
WEIGHTS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.sampled_from([16, 32, 48])),
    elements=st.floats(-100, 100, width=32),
)


@pytest.mark.parametrize("bits", [8, 4])
@given(weights=WEIGHTS)
@settings(max_examples=50, deadline=None)
def test_no_weight_moves_by_more_than_half_a_step(bits: int, weights: Array) -> None:
    integers, scales = in_blocks(weights, 16, bits)
    assert integers.shape == (weights.size // 16, 16) and scales.shape == (len(integers), 1)
    assert np.abs(integers).max() <= 2 ** (bits - 1) - 1
    moved = np.abs(integers * scales - weights.reshape(-1, 16))
    assert (moved <= scales * 0.5001).all()


@pytest.mark.parametrize("bits", [8, 4])
def test_zeros_stay_zeros(bits: int) -> None:
    weights = np.array([[0] * 16, [0, 1] * 8], np.float32)
    integers, scales = in_blocks(weights, 16, bits)
    np.testing.assert_array_equal(integers == 0, weights == 0)
    assert scales[0] == 1


@given(integers=arrays.arrays(np.int8, st.integers(1, 33), elements=st.integers(-8, 7)))
@settings(max_examples=50, deadline=None)
def test_four_bits_are_packed_low_half_first(integers: Array) -> None:
    stored = packed(integers, 4)
    assert len(stored) == (len(integers) + 1) // 2
    halves = np.stack([stored & 15, stored >> 4], 1).reshape(-1)[: len(integers)].astype(np.int8)
    np.testing.assert_array_equal(np.where(halves > 7, halves - 16, halves), integers)
