"""The statistics by themselves: noise and structure, ranges and where they settle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxiway.optimize.doctor.noise import is_noise, structure
from taxiway.optimize.doctor.ranges import Ranges

DRAWS = {
    "uniform": lambda r, s: r.random(s),
    "normal": lambda r, s: r.standard_normal(s),
    "bytes": lambda r, s: r.integers(0, 256, s),
    "coins": lambda r, s: r.integers(0, 2, s),
}


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(sorted(DRAWS)),
    rows=st.integers(32, 300),
    columns=st.integers(32, 1200),
    seed=st.integers(0, 2**20),
    scale=st.floats(1e-3, 1e3),
    offset=st.floats(-100, 100),
)
def test_noise_is_noise_whatever_it_is_drawn_from(
    kind: str, rows: int, columns: int, seed: int, scale: float, offset: float
) -> None:
    drawn = DRAWS[kind](np.random.default_rng(seed), (rows, columns)) * scale + offset
    assert is_noise(structure(drawn)), structure(drawn)


def digits() -> Any:
    with np.load(Path(__file__).parents[4] / "recipes" / "data" / "digits.npz") as archive:
        return archive["x_train"][:64].reshape(64, -1)


def tones() -> Any:
    """Sounds of other pitch and phase: no place of theirs differs from another."""
    random = np.random.default_rng(0)
    time = np.arange(16_000)
    pitch, phase = random.uniform(0.005, 0.2, (64, 1)), random.uniform(0, 6, (64, 1))
    return np.sin(pitch * time + phase) + random.normal(0, 0.3, (64, len(time)))


def measurements() -> Any:
    """A table of ten features, some of which hang together."""
    random = np.random.default_rng(0)
    hidden = random.normal(size=(64, 2))
    return hidden @ random.normal(size=(2, 10)) + random.normal(0, 0.5, (64, 10))


def tokens() -> Any:
    """Token ids of sentences: a first and a last word, zeros behind."""
    random = np.random.default_rng(0)
    rows = np.zeros((64, 32), np.int64)
    for row in rows:
        length = random.integers(5, 20)
        row[:length] = random.integers(1000, 30_000, length)
        row[0], row[length] = 101, 102
    return rows


@pytest.mark.parametrize("made", [digits, tones, measurements, tokens])
def test_data_is_no_noise(made: Any) -> None:
    assert not is_noise(structure(made())), structure(made())


@pytest.mark.parametrize("shape", [(5, 100), (100, 5), (12, 12), (0, 0), (9, 0)])
def test_of_few_rows_or_columns_nothing_is_said(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(0).random(shape)
    assert structure(rows) is None
    assert structure(np.ones((64, 64))) is None
    assert not is_noise(None)


def test_ranges_settle_where_the_last_new_extreme_comes() -> None:
    ranges = Ranges(["early", "late", "never"])
    for batch in range(10):
        early = 1.0 if batch else 0.96
        late = 2.0 if batch >= 6 else 1.0
        ranges.add(8, np.array([0, 0, 3.0]), np.array([early, late, 3.0]))
    assert ranges.settled(0.95).tolist() == [8, 56, 8]
    assert ranges.settled(0.99).tolist() == [16, 56, 8]
    assert ranges.settled_at(0.95) == 56
    assert dict(ranges.curve(0.95))[8] == pytest.approx(2 / 3, abs=1e-3)
    assert ranges.curve(0.95)[-1] == (80, 1.0)
    low, high = ranges.at(24)
    assert low.tolist() == [0, 0, 3] and high.tolist() == [1, 1, 3]


@given(st.lists(st.lists(st.floats(-100, 100), min_size=2, max_size=2), min_size=1, max_size=30))
def test_ranges_only_grow(batches: list[list[float]]) -> None:
    ranges = Ranges(["t"])
    for batch in batches:
        ranges.add(1, np.array([min(batch)]), np.array([max(batch)]))
    curve = [share for _, share in ranges.curve(0.9)]
    assert curve == sorted(curve) and curve[-1] == 1
    low, high = ranges.at(len(batches))
    assert low[0] == min(map(min, batches)) and high[0] == max(map(max, batches))
    assert 1 <= ranges.settled_at(0.9) <= len(batches)
