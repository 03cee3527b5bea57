"""Noise of operators by themselves: one by one, in blocks, and beside another."""

from __future__ import annotations

from typing import Any

import pytest

from taxiway.optimize.quantize.fallback.ranking import BLOCKS, SINGLE, sensitivities

QUIET = {f"op{number}": 0.001 for number in range(8)}


def silent(done: int, total: int) -> None:
    return None


def test_each_operator_is_measured_alone(made_up: Any) -> None:
    model = made_up(QUIET | {"bad": 2.0})
    assert sensitivities(model.operators, model, silent) == QUIET | {"bad": 2.0}


def test_both_sides_of_a_disturbed_value_are_found(made_up: Any) -> None:
    """Neither's return to float would show it."""
    model = made_up(QUIET, shared={frozenset({"op2", "op3"}): 5.0})
    found = sensitivities(model.operators, model, silent)
    assert sorted(found, key=lambda name: -found[name])[:2] == ["op2", "op3"]


def test_an_operator_that_cannot_be_quantized_alone_is_measured_beside_the_quietest(
    made_up: Any,
) -> None:
    model = made_up(QUIET | {"softmax": 1.0, "still": 0.0001}, alone_fails={"softmax"})
    found = sensitivities(model.operators, model, silent)
    assert found["softmax"] == pytest.approx(1.0)


def test_where_none_can_be_quantized_alone_the_whole_is_measured_without_each(made_up: Any) -> None:
    model = made_up({"a": 1.0, "b": 0.25}, alone_fails={"a", "b"})
    assert sensitivities(model.operators, model, silent) == pytest.approx({"a": 1.0, "b": 0.25})


@pytest.mark.parametrize("count", [SINGLE + 1, 400, 1000])
def test_many_operators_are_measured_in_blocks_first(made_up: Any, count: int) -> None:
    model = made_up({f"op{n}": 0.001 for n in range(count)} | {"bad": 1.0, "worse": 3.0})
    told: list[tuple[int, int]] = []
    found = sensitivities(model.operators, model, lambda *step: told.append(step))
    assert sorted(found, key=lambda name: -found[name])[:2] == ["worse", "bad"]
    assert len(found) == count + 2
    assert len(model.asked) <= BLOCKS + 8 * -(-(count + 2) // BLOCKS)
    assert told[-1][0] <= told[-1][1]
