from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from taxiway.model import TensorSpec
from taxiway.model.layout import axes_to, axes_to_data, axes_to_file, other, shape_in


@pytest.mark.parametrize(
    ("layout", "shape", "moved"),
    [
        ("nchw", (1, 8, 9, 3), (1, 3, 8, 9)),
        ("nhwc", (1, 3, 8, 9), (1, 8, 9, 3)),
        ("nchw", (1, 4, 8, 9, 3), (1, 3, 4, 8, 9)),
        ("nhwc", ("batch", 3, 4, 8, 9), ("batch", 4, 8, 9, 3)),
    ],
    ids=str,
)
def test_shape_in(layout, shape, moved) -> None:
    assert shape_in(layout, shape) == moved


@pytest.mark.parametrize(("layout", "rank"), list(product(["nchw", "nhwc"], [4, 5])))
def test_there_and_back(layout, rank: int) -> None:
    array = np.arange(np.prod(range(2, 2 + rank))).reshape(range(2, 2 + rank))
    moved = array.transpose(axes_to(layout, rank))
    assert np.array_equal(moved.transpose(axes_to(other(layout), rank)), array)


def test_only_a_moved_tensor_is_transposed() -> None:
    plain = TensorSpec(name="x", dtype="float32", shape=(1, 3, 8, 8))
    assert axes_to_file(plain) is None and axes_to_data(plain) is None
    moved = TensorSpec(name="x", dtype="float32", shape=(1, 3, 8, 8), layout="nchw")
    assert (axes_to_file(moved), axes_to_data(moved)) == ((0, 3, 1, 2), (0, 2, 3, 1))
