"""Bytes of what is kept: as few as restore the score."""

from __future__ import annotations

from typing import Any

import pytest

from taxiway.optimize.quantize.fallback.cheaper import cheapen
from taxiway.optimize.quantize.fallback.greedy import Found

NOISE = {"a": 1.0, "b": 1.0, "quiet": 0.0}
KEPT = frozenset({"a", "b"})


@pytest.mark.parametrize(
    ("small", "weights", "expected"),
    [
        ({}, {"a": 400, "b": 400}, {"a": "int8_weights", "b": "int8_weights"}),
        ({"a": 50}, {"a": 400, "b": 400}, {"a": "float16", "b": "int8_weights"}),
        ({"a": 50, "b": 50}, {"a": 400, "b": 400}, {"a": "float16", "b": "float16"}),
        ({}, {"a": 0, "b": 400}, {"a": "float32", "b": "int8_weights"}),
        ({}, {"a": 0, "b": 0}, {"a": "float32", "b": "float32"}),
    ],
    ids=["all in 8 bits", "one needs 16", "both need 16", "one has no weights", "none has weights"],
)
def test_each_gets_the_fewest_bytes(
    made_up: Any, small: dict[str, int], weights: dict[str, int], expected: dict[str, str]
) -> None:
    model = made_up(NOISE, small=small, weights=weights)
    own, score = cheapen(Found(KEPT, model.score(KEPT)), weights, model, 0.005)
    assert own == expected
    assert score == model.score_in(own)
    assert score.within(0.005)


def test_eight_bits_that_are_loud_are_not_taken_for_a_lucky_score(made_up: Any) -> None:
    weights = {"a": 400, "b": 400}
    model = made_up({"a": 1.0, "b": 1.0, "quiet": 0.01}, loud={"a": 0.02}, weights=weights)
    own, _ = cheapen(Found(KEPT, model.score(KEPT)), weights, model, 0.005)
    assert own == {"a": "float16", "b": "int8_weights"}


def test_a_precision_that_makes_nothing_smaller_is_not_taken(made_up: Any) -> None:
    """A runtime's file may have grown by nodes and scales."""
    model = made_up(NOISE, weights={"a": 400, "b": 400})
    model.size_in = lambda own: 1000
    own, _ = cheapen(Found(KEPT, model.score(KEPT)), {"a": 400, "b": 400}, model, 0.005)
    assert own == {"a": "float32", "b": "float32"}
