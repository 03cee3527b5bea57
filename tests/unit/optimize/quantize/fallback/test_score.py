"""Scores of candidates, paired with the input model's."""

from __future__ import annotations

import pytest

from taxiway.optimize.quantize.fallback.score import Score


@pytest.mark.parametrize(
    ("score", "drop", "within"),
    [
        (Score(200, 180, 1, 0), 0.005, True),
        (Score(200, 179, 2, 0), 0.01, False),
        (Score(200, 180, 5, 4), 0.005, True),
        (Score(200, 185, 0, 4), -0.02, True),
        (Score(100, 97, 1, 0), 0.01, False),
    ],
    ids=["as much as allowed", "more", "lost and won", "better", "one row of few"],
)
def test_drop(score: Score, drop: float, within: bool) -> None:
    assert score.drop == pytest.approx(drop)
    assert score.within(0.005) is within


def test_rounding_of_floats_is_no_loss() -> None:
    assert Score(1000, 970, 10, 0).within(0.98 - 0.97)


def test_the_interval_is_that_of_the_pairs() -> None:
    """Rows that both models have right, or both wrong, say nothing of the drop."""
    few, many = Score(200, 180, 2, 1).interval(), Score(200, 170, 20, 10).interval()
    assert few[0] < 0.005 < few[1]
    assert many[1] - many[0] > 2 * (few[1] - few[0])
