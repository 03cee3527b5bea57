"""The set that is found: it restores the score, nothing in it is needless, and it is light."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.optimize.quantize.fallback.greedy import BUDGET, SINGLE, TOP, Found, restore
from taxiway.optimize.quantize.fallback.ranking import sensitivities
from taxiway.optimize.quantize.fallback.score import Score

QUIET = {f"op{number}": 0.001 for number in range(8)}
ALLOWED = 0.005


def found_by(model: Any, allowed: float = ALLOWED) -> Found:
    operators = model.operators
    ranked = sensitivities(operators, model, lambda *_: None)
    return restore(ranked, {op.name: op.weights for op in operators}, model, allowed)


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ({"noise_of": QUIET}, set()),
        ({"noise_of": QUIET | {"bad": 1.0}}, {"bad"}),
        ({"noise_of": QUIET | {"bad": 1.0, "worse": 5.0}}, {"bad", "worse"}),
        ({"noise_of": QUIET, "shared": {frozenset({"op1", "op2"}): 5.0}}, {"op1", "op2"}),
        (
            {"noise_of": QUIET, "shared": {frozenset({"op1", "op2", "op3", "op4"}): 5.0}},
            {"op1", "op2", "op3", "op4"},
        ),
        (
            {"noise_of": QUIET | {"bad": 1.0}, "shared": {frozenset({"op1", "op2"}): 5.0}},
            {"bad", "op1", "op2"},
        ),
        ({"noise_of": QUIET | {"soft": 1.0}, "alone_fails": {"soft"}}, {"soft"}),
    ],
    ids=[
        "nothing lost",
        "one",
        "two",
        "two that hide each other",
        "four that hide each other",
        "one, and two that hide each other",
        "one that is not quantized alone",
    ],
)
def test_what_disturbs_is_kept_and_nothing_else(
    made_up: Any, model: dict[str, Any], kept: set[str]
) -> None:
    found = found_by(made_up(**model))
    assert found.kept == kept
    assert found.score.within(ALLOWED)


def test_of_two_that_help_alike_the_lighter_is_kept(made_up: Any) -> None:
    """Either brings the drop below what is allowed."""
    weights = {"light": 10, "heavy": 1000}
    model = made_up({"light": 0.40, "heavy": 0.42}, weights=weights)
    assert found_by(model, allowed=0.045).kept == {"light"}


def test_many_are_kept_without_measuring_all_of_them_again(made_up: Any) -> None:
    bad = {f"bad{number}": 0.2 + 0.001 * number for number in range(60)}
    model = made_up(QUIET | bad)
    found = found_by(model)
    assert set(bad) == found.kept
    scored = {kept for what, kept in model.asked if what == "score"}
    assert len(scored) <= SINGLE + 10 + BUDGET
    assert len(model.asked) <= len(model.operators) + SINGLE * (TOP + 2) + 10 + BUDGET


def test_where_nothing_restores_it_the_best_is_given(made_up: Any) -> None:
    """The last one quantized still loses too much."""
    model = made_up({"a": 1.0, "b": 1.5, "c": 3.0})
    found = found_by(model)
    assert found.kept == {"b", "c"}
    assert found.score == Score(1000, 900, 100, 0)
    assert not found.score.within(ALLOWED)


NOISES = st.dictionaries(
    st.sampled_from([f"op{number}" for number in range(20)]),
    st.sampled_from([0.0, 0.001, 0.01, 0.1, 1.0]),
    min_size=2,
)


@given(noises=NOISES, data=st.data())
def test_nothing_that_is_kept_is_needless(
    made_up: Any, noises: dict[str, float], data: st.DataObject
) -> None:
    names = st.frozensets(st.sampled_from(sorted(noises)), min_size=2, max_size=3)
    shared = {data.draw(names): 0.5} if data.draw(st.booleans()) else {}
    model = made_up(noises, shared=shared)
    found = found_by(model)
    assert found.score == model.score(found.kept)
    for name in found.kept:
        without = model.score(found.kept - {name})
        assert not without.within(max(ALLOWED, found.score.drop))
