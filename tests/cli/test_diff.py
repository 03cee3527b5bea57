from __future__ import annotations

import json

import pytest

from taxiway.cli.main import main
from taxiway.report.difference import Difference, Side, differences


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param({"seed": 0}, {"seed": 0}, [], id="equal"),
        pytest.param({"seed": 0}, {"seed": 1}, [("seed", 0, 1)], id="changed"),
        pytest.param({"a": {"b": 1}}, {"a": {}}, [("a.b", 1, None), ("a", None, {})], id="removed"),
        pytest.param({}, {"a": {"b": {"c": 1}}}, [("a.b.c", None, 1)], id="added"),
        pytest.param({"lists": [1, 2]}, {"lists": [2, 1]}, [("lists", [1, 2], [2, 1])], id="list"),
        pytest.param(
            {"optimize": {"x": {"k": 1}, "y": {"k": 1}}},
            {"optimize": {"y": {"k": 1}, "x": {"k": 1}}},
            [("optimize (order)", ["x", "y"], ["y", "x"])],
            id="order of passes",
        ),
    ],
)
def test_options_are_compared_by_dotted_path(a, b, expected) -> None:
    found = differences(Side("a", a), Side("b", b))
    assert found == [Difference("option", *row) for row in expected]


def test_runs_are_compared_by_options_figures_and_step_keys(tmp_path, make_run, capsys) -> None:
    one = make_run(tmp_path / "digits/one", accuracy=0.97, key="a" * 64, seed=0)
    two = make_run(tmp_path / "digits/two", accuracy=0.95, key="b" * 64, seed=1)
    assert main(["diff", str(one), str(two), "--json"]) == 0
    rows = [tuple(row.values()) for row in json.loads(capsys.readouterr().out)]
    assert rows == [
        ("option", "seed", 0, 1),
        ("figure", "result.accuracy", 0.97, 0.95),
        ("step key", "source", "a" * 64, "b" * 64),
    ]


def test_a_run_and_a_recipe_are_compared_by_options_alone(tmp_path, make_run, capsys) -> None:
    run = make_run(tmp_path / "digits_int8/one", seed=9)
    assert main(["diff", str(run), "digits_int8", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["kind"] for row in rows} == {"option"}
    assert {"kind": "option", "name": "seed", "a": 9, "b": 0} in rows


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["digits_int8", "digits_int8"], "no difference\n"),
        (["digits_int8", "digits_int8", "seed=4"], "no difference\n"),
    ],
    ids=["same", "override on both"],
)
def test_equal_recipes_have_no_difference(words, expected, capsys) -> None:
    assert main(["diff", *words]) == 0
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["digits_int8"], 2, "taxiway diff --help"),
        (["digits_int8", "digits_int9"], 2, "did you mean"),
        (["digits_int8", "EMPTY"], 2, "has no report.json"),
    ],
    ids=["one side", "unknown recipe", "no run in the folder"],
)
def test_what_cannot_be_compared_is_an_error(words, code, message, tmp_path, capsys) -> None:
    assert main(["diff", *(str(tmp_path) if word == "EMPTY" else word for word in words)]) == code
    assert message in capsys.readouterr().err
