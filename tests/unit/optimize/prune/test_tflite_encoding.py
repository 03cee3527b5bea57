"""Compressed rows give every tensor back, in as few bytes as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from taxiway.optimize.prune.tflite_encoding import BLOCKS, Encoding, encode, smallest

Array = np.ndarray[Any, Any]


def decoded(encoding: Encoding, shape: tuple[int, ...]) -> Array:
    """By the definition: row by row, each index a block."""
    axis = encoding.order[-1]
    moved = [shape[other] for other in encoding.order]
    rows = np.zeros((int(np.prod(moved[:-1])), moved[-1]), encoding.values.dtype)
    blocks = encoding.values.reshape(-1, encoding.block)
    for row, (start, stop) in enumerate(
        zip(encoding.segments[:-1], encoding.segments[1:], strict=True)
    ):
        for place in range(int(start), int(stop)):
            at = int(encoding.indices[place]) * encoding.block
            rows[row, at : at + encoding.block] = blocks[place]
    return np.moveaxis(rows.reshape(moved), -1, axis)


@given(
    tensor=st.sampled_from(["<f4", "<f2", "i1"]).flatmap(
        lambda dtype: arrays.arrays(
            dtype,
            arrays.array_shapes(min_dims=1, max_dims=4, max_side=8),
            elements=st.sampled_from([0, 0, 0, 1, -2]),
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_every_encoding_gives_the_tensor_back(tensor: Array) -> None:
    for axis in range(tensor.ndim):
        for block in (size for size in BLOCKS if tensor.shape[axis] % size == 0):
            np.testing.assert_array_equal(
                decoded(encode(tensor, axis, block), tensor.shape), tensor
            )


@given(
    tensor=arrays.arrays(
        "i1",
        arrays.array_shapes(min_dims=2, max_dims=3, max_side=8),
        elements=st.sampled_from([0, 0, 1]),
    )
)
@settings(max_examples=60, deadline=None)
def test_no_other_encoding_is_smaller(tensor: Array) -> None:
    sizes = [
        encode(tensor, axis, block).size
        for axis in range(tensor.ndim)
        for block in BLOCKS
        if tensor.shape[axis] % block == 0
    ]
    assert smallest(tensor).size == min(sizes)


@pytest.mark.parametrize(
    ("length", "count", "segments", "indices"),
    [
        (200, 2, "uint8", "uint8"),
        (256, 400, "uint16", "uint8"),
        (300, 2, "uint8", "uint16"),
        (70000, 2, "uint8", "int32"),
    ],
)
def test_indices_take_the_smallest_type(
    length: int, count: int, segments: str, indices: str
) -> None:
    tensor = np.zeros((4, length), np.int8)
    tensor.flat[np.linspace(0, tensor.size - 1, count).astype(int)] = 1
    found = encode(tensor, 1, 1)
    assert (found.segments.dtype, found.indices.dtype) == (segments, indices)
    assert len(found.values) == count


def test_blocks_of_zeros_cost_one_index_each() -> None:
    tensor = np.zeros((64, 64), np.float32)
    tensor[:, 8:24] = 1
    found = smallest(tensor)
    assert found.size < encode(tensor, 1, 1).size
    assert found.block > 1 or found.order[-1] == 0
