"""What is pruned as one, and which of it is kept."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from taxiway.optimize.prune.gradual import sparsity_at
from taxiway.optimize.prune.ranking import masks_of
from taxiway.optimize.prune.units import units_of
from taxiway.optimize.prune.weights import PrunedWeight

Array = np.ndarray[Any, Any]
MATRICES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=13),
    elements=st.floats(-10, 10, width=32),
)


@given(MATRICES, st.floats(0, 0.99))
def test_elements(matrix: Array, sparsity: float) -> None:
    """Exactly as many zeros as asked, the smallest ones, and never all."""
    (mask,) = masks_of({"w": matrix}, sparsity, units_of(None, (1, 4)), "layer").values()
    assert mask.shape == matrix.shape
    assert np.count_nonzero(~mask) == min(round(sparsity * matrix.size), matrix.size - 1)
    if (~mask).any():
        assert np.abs(matrix[~mask]).max() <= np.abs(matrix[mask]).min()


@given(MATRICES, st.floats(0, 0.99), st.integers(1, 5), st.integers(1, 5))
def test_blocks(matrix: Array, sparsity: float, rows: int, columns: int) -> None:
    """Every block is kept as a whole or not at all; at most the sparsity is reached, and nearly so."""
    (mask,) = masks_of(
        {"w": matrix}, sparsity, units_of("block", (rows, columns)), "layer"
    ).values()
    for top in range(0, len(matrix), rows):
        for left in range(0, matrix.shape[1], columns):
            assert len(np.unique(mask[top : top + rows, left : left + columns])) == 1
    dropped, wanted = np.count_nonzero(~mask), round(sparsity * matrix.size)
    assert mask.any() and dropped <= wanted
    assert dropped > wanted - rows * columns or np.count_nonzero(mask) <= rows * columns


@given(MATRICES)
def test_two_of_four(matrix: Array) -> None:
    (mask,) = masks_of({"w": matrix}, 0.5, units_of("2:4", (1, 4)), "layer").values()
    whole = matrix.shape[1] - matrix.shape[1] % 4
    assert mask[:, whole:].all()
    fours, kept = matrix[:, :whole].reshape(-1, 4), mask[:, :whole].reshape(-1, 4)
    assert (kept.sum(axis=1) == 2).all()
    for values, chosen in zip(fours, kept, strict=True):
        assert np.abs(values[chosen]).min() >= np.abs(values[~chosen]).max(initial=0)


def test_layers_together() -> None:
    """A layer of large weights is not spared for its scale; one of unequal weights loses more."""
    rng = np.random.default_rng(0)
    even, spread = rng.choice([-1, 1], (20, 20)) * 1.0, rng.normal(size=(20, 20)) ** 3
    for scale in (1e-3, 1.0, 1e3):
        masks = masks_of(
            {"even": even * scale, "spread": spread}, 0.5, units_of(None, (1, 4)), "global"
        )
        zeros = {name: np.count_nonzero(~mask) for name, mask in masks.items()}
        assert sum(zeros.values()) == 400 and zeros["spread"] > 300
    tiny = masks_of(
        {"a": np.ones((1, 2)), "b": rng.normal(size=(50, 50))},
        0.99,
        units_of(None, (1, 4)),
        "global",
    )
    assert all(mask.any() for mask in tiny.values())


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_weights_that_are_all_zero(scope: Any) -> None:
    masks = masks_of({"w": np.zeros((4, 4))}, 0.5, units_of(None, (1, 4)), scope)
    assert np.count_nonzero(masks["w"]) == 8


@given(st.floats(0, 0.9), st.floats(0.01, 1), st.floats(0.05, 0.99))
def test_schedule(start: float, end: float, target: float) -> None:
    start = min(start, target)
    levels = [sparsity_at(done, start, target, end) for done in np.linspace(0, 1, 21)]
    assert levels[0] == pytest.approx(start) and levels[-1] == target
    assert all(a <= b + 1e-12 for a, b in pairwise(levels))


@pytest.mark.parametrize(
    ("shape", "outputs", "inputs"),
    [
        ((6, 4), (1,), (0,)),
        ((3, 3, 5, 4), (3,), (0, 1, 2)),
        ((4, 5, 3, 3), (0,), (2, 3, 1)),
        ((1, 8, 6), (0, 1), (2,)),
    ],
    ids=["dense", "conv of keras", "conv of onnx", "lstm of onnx"],
)
def test_a_weight_as_a_matrix(shape: Any, outputs: Any, inputs: Any) -> None:
    weight = PrunedWeight("w", "layer", "Type", shape, outputs, inputs)
    values = np.arange(np.prod(shape)).reshape(shape)
    matrix = weight.matrix(values)
    np.testing.assert_array_equal(weight.restored(matrix), values)
    assert len(matrix) == np.prod([shape[axis] for axis in outputs])
    # Neighbours in a row are input channels.
    step = abs(int(matrix[0, 1]) - int(matrix[0, 0]))
    assert step == np.prod(shape[inputs[-1] + 1 :], dtype=int)
