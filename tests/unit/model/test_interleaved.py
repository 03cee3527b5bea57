"""Runners are timed by turns: each once a round, in an order that turns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from taxiway.model.interleaved import MIN_ROUNDS, WARM_UP, interleaved

SAMPLES = [{"x": np.float32([number])} for number in range(3)]


class _Noted:
    signature: Any = None

    def __init__(self, name: str, calls: list[tuple[str, float]]) -> None:
        self.name, self.calls = name, calls

    def predict(self, inputs: Any) -> dict[str, Any]:
        self.calls.append((self.name, float(inputs["x"][0])))
        return {}


@pytest.mark.parametrize(
    ("rounds", "seconds", "expected"),
    [(8, 60.0, 8), (100, 0.0, MIN_ROUNDS)],
    ids=["all rounds", "no time left"],
)
def test_each_is_called_once_a_round(rounds: int, seconds: float, expected: int) -> None:
    calls: list[tuple[str, float]] = []
    runners = [_Noted(name, calls) for name in "abc"]
    timings = interleaved(runners, SAMPLES, rounds=rounds, seconds=seconds)
    assert len(timings) == 3
    assert all(0 <= timing.p25 <= timing.p50 <= timing.p75 for timing in timings)
    timed = calls[3 * WARM_UP :]
    turns = [timed[start : start + 3] for start in range(0, len(timed), 3)]
    assert len(turns) == expected
    for number, turn in enumerate(turns):
        assert {name for name, _ in turn} == {"a", "b", "c"}
        assert {sample for _, sample in turn} == {float(number % 3)}
    assert [turn[0][0] for turn in turns[:4]] == ["a", "b", "c", "a"]
