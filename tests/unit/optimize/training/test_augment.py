"""Random changes of samples: what moves where, and what stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from taxiway.optimize.training.augment import _moved, augmented
from taxiway.optimize.training.config import Augmentation

IMAGES = np.random.default_rng(0).random((5, 6, 8, 2)).astype(np.float32)
STILL = [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (STILL, lambda x: x),
        ([[1, 0, 2 / 6], [0, 1, 0]], lambda x: x[:, [1, 2, 3, 4, 5, 5]]),
        ([[1, 0, 0], [0, 1, -2 / 8]], lambda x: x[:, :, [0, 0, 1, 2, 3, 4, 5, 6]]),
        ([[1, 0, 0], [0, -1, 0]], lambda x: x[:, :, ::-1]),
        ([[-1, 0, 0], [0, -1, 0]], lambda x: np.rot90(x, 2, (1, 2))),
    ],
    ids=["still", "up by a pixel", "right by a pixel", "mirrored", "turned by 180 degrees"],
)
def test_moves(matrix: Any, expected: Any) -> None:
    maps = np.tile(np.array(matrix, float), (5, 1, 1))
    np.testing.assert_allclose(_moved(IMAGES, maps), expected(IMAGES), atol=1e-6)


def test_a_quarter_turn_of_a_square() -> None:
    square = IMAGES[:, :, :6]
    maps = np.tile(np.array([[0, 1, 0], [-1, 0, 0]], float), (5, 1, 1))
    np.testing.assert_allclose(_moved(square, maps), np.rot90(square, 1, (1, 2)), atol=1e-6)


@pytest.mark.parametrize("option", ["shift", "rotate", "zoom", "flip", "noise"])
def test_each_option_changes_samples_its_own_way(option: str) -> None:
    options = Augmentation(
        **{option: True if option == "flip" else 20.0 if option == "rotate" else 0.3}
    )
    one, two, other = (
        augmented((IMAGES, IMAGES), options, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one[0], two[0])
    assert not np.array_equal(one[0], other[0]) and one[0].dtype == np.float32
    # Images of one sample move together; noise is each image's own.
    assert np.array_equal(one[0], one[1]) == (option != "noise")


def test_what_is_no_image_stays() -> None:
    vectors, tokens = np.ones((5, 3), np.float32), np.ones((5, 3), np.int32)
    images = (IMAGES * 255).astype(np.uint8)
    options = Augmentation(shift=0.2, noise=0.1)
    found = augmented((images, vectors, tokens), options, np.random.default_rng(0))
    assert [array.dtype for array in found] == [np.uint8, np.float32, np.int32]
    assert not np.array_equal(found[0], images) and not np.array_equal(found[1], vectors)
    np.testing.assert_array_equal(found[2], tokens)
    assert augmented((images,), Augmentation(), np.random.default_rng(0))[0] is images
