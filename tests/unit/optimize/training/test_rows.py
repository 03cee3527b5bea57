"""Rows that are streamed: every one once, in batches of the size asked for, in an order of the seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxiway.errors import StepError
from taxiway.model import Signature, TensorSpec
from taxiway.optimize.training.rows import RowStream
from taxiway.plugins import Selection

SIGNATURE = Signature(
    inputs=tuple(
        TensorSpec(name=n, dtype="float32", shape=("batch", w)) for n, w in (("a", 3), ("b", 1))
    ),
    outputs=(),
)
ROW_BYTES = 4 * 4 + 8 + 8


def numbered(table: Any, count: int) -> Any:
    """Rows whose every value is their number."""
    number = np.arange(count)
    inputs = {"b": number[:, None] * np.ones(1), "a": number[:, None] * np.ones(3)}
    return table(inputs, number)


def stream(table: Any, count: int, held: int, chosen: Any = None) -> RowStream:
    selection = Selection("train", labels=True)
    return RowStream(numbered(table, count), selection, SIGNATURE, held * ROW_BYTES, chosen)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 700), st.integers(1, 300), st.integers(1, 40), st.integers(0, 3))
def test_every_row_once(table: Any, count: int, held: int, size: int, seed: int) -> None:
    rows = stream(table, count, held)
    batches = list(rows.shuffled(size, np.random.default_rng(seed)))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    seen = np.concatenate([batch.index for batch in batches])
    assert sorted(seen) == list(range(count))
    for batch in batches:
        assert batch.inputs[0].shape == (len(batch), 3) and batch.inputs[0].dtype == np.float32
        for array in (batch.inputs[0][:, 0], batch.inputs[1][:, 0], batch.labels):
            np.testing.assert_array_equal(array, batch.index)
    again = rows.shuffled(size, np.random.default_rng(seed))
    np.testing.assert_array_equal(seen, np.concatenate([batch.index for batch in again]))
    ordered = np.concatenate([batch.index for batch in rows.in_order(size)])
    np.testing.assert_array_equal(ordered, np.arange(count))


@pytest.mark.parametrize("held", [100, 5000], ids=["streamed", "held"])
def test_orders_differ(table: Any, held: int) -> None:
    rows = stream(table, 2000, held)
    orders = [
        np.concatenate([batch.index for batch in rows.shuffled(64, np.random.default_rng(seed))])
        for seed in (0, 1)
    ]
    assert (orders[0] != orders[1]).mean() > 0.9
    # A buffer of 100 rows moves rows by about its size; all in memory, by about a third of all.
    assert np.abs(orders[0] - np.arange(2000)).mean() > (50 if held == 100 else 500)


def test_chosen_rows(table: Any) -> None:
    chosen = np.random.default_rng(0).random(1300) < 0.3
    for held in (50, 5000):
        rows = stream(table, 1300, held, chosen)
        assert rows.count == chosen.sum()
        seen = np.concatenate([b.index for b in rows.shuffled(32, np.random.default_rng(0))])
        np.testing.assert_array_equal(np.sort(seen), np.flatnonzero(chosen))


def test_rows_that_do_not_fit(table: Any) -> None:
    bad = numbered(table, 4)
    bad.inputs["a"] = np.zeros((4, 2))
    with pytest.raises(
        StepError, match=r"input 'a' has shape \[1, 2\], expected a: float32\[batch, 3\]"
    ):
        RowStream(bad, Selection("train", labels=True), SIGNATURE, 100)
    with pytest.raises(StepError, match="no row to train on"):
        stream(table, 4, 10, np.zeros(4, bool))
