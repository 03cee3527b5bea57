"""Sections and passes taken out of a recipe on the command line."""

from __future__ import annotations

import pytest

import taxiway
from taxiway.compose.sweep import points
from taxiway.errors import RecipeError


@pytest.mark.parametrize(
    ("override", "section", "left"),
    [
        pytest.param("~deploy", "deploy", None, id="without-options-in-the-body"),
        pytest.param("deploy=null", "deploy", None, id="null"),
        pytest.param("~evaluate", "evaluate", None, id="with-options-in-the-body"),
        pytest.param("evaluate=null", "evaluate", None, id="null-with-options"),
        pytest.param("~optimize", "optimize", {}, id="all-passes"),
        pytest.param("optimize=null", "optimize", {}, id="all-passes-null"),
        pytest.param("~optimize.quantize_static", "optimize", {}, id="one-pass"),
        pytest.param("optimize=[]", "optimize", {}, id="no-pass"),
    ],
)
def test_a_section_is_dropped(override: str, section: str, left: object) -> None:
    recipe = taxiway.load("digits_int8", [override])
    assert recipe.composed.section(section) == left
    assert recipe.composed.public[section] == left
    assert section not in [step.section for step in recipe.plan().steps]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param("~source", "source is null; it must be a mapping", id="source"),
        pytest.param("~optimize=[quantize_static]", "drops nothing", id="list-of-passes"),
        pytest.param("~optimize.prune", "Could not delete", id="no-such-pass"),
    ],
)
def test_what_cannot_be_dropped(override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        taxiway.load("digits_int8", [override])
    assert message in caught.value.message


def test_a_sweep_drops_no_section() -> None:
    with pytest.raises(RecipeError) as caught:
        points("digits_int8", ["deploy=null,litert_bundle"])
    assert "a sweep cannot drop deploy" in caught.value.message
