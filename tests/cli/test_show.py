from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from taxiway import api
from taxiway.cli.main import main

RECIPE = """\
defaults:
  - base
  - source: onnx
  - _self_
name: mine
description: ${oc.env:MINE_SECRET}
source:
  path: model.onnx
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINE_SECRET", "swordfish")
    Path("model.onnx").write_bytes(b"")
    Path("mine.yaml").write_text(RECIPE)
    return Path("mine.yaml")


def test_what_is_shown_is_the_composed_recipe_as_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "digits_int8", "seed=3"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown == api.load("digits_int8", ["seed=3"]).composed.public


@pytest.mark.parametrize(
    "flags", [[], ["--json"], ["--origin"], ["--origin", "--json"]], ids=" ".join
)
def test_a_value_from_the_environment_is_never_shown(flags, recipe, capsys) -> None:
    assert main(["show", str(recipe), *flags]) == 0
    out = capsys.readouterr().out
    assert "swordfish" not in out
    assert "${oc.env:MINE_SECRET}" in out


@pytest.mark.parametrize(
    ("option", "place"),
    [
        ("name", "mine.yaml:5"),
        ("source.path", "mine.yaml:8"),
        ("source.type", "onnx.yaml:2"),
        ("seed", "<command line>:1"),
        ("limits.time", "base.yaml:"),
    ],
)
def test_the_origin_is_the_file_and_line_of_the_last_writer(option, place, recipe, capsys) -> None:
    assert main(["show", str(recipe), "seed=1", "--origin", "--json"]) == 0
    origin = json.loads(capsys.readouterr().out)[option]["origin"]
    assert place in origin


def test_the_origin_comments_leave_the_yaml_as_it_is(recipe, capsys) -> None:
    assert main(["show", str(recipe), "--origin"]) == 0
    commented = capsys.readouterr().out
    assert main(["show", str(recipe)]) == 0
    assert yaml.safe_load(commented) == yaml.safe_load(capsys.readouterr().out)
    assert "path: model.onnx" in commented
    assert "# mine.yaml:8" in commented
