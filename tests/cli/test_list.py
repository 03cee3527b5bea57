from __future__ import annotations

import json
from pathlib import Path

import pytest

from taxiway.cli.main import main
from taxiway.compose.assets import shipped_recipes
from taxiway.plugins import SECTIONS, registry


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, str]]:
    assert main(["list", *words, "--json"]) == 0
    rows: list[dict[str, str]] = json.loads(capsys.readouterr().out)
    return rows


def test_recipes_are_the_shipped_ones_and_those_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("# Mine.\ndefaults:\n  - base\n  - source: onnx\n")
    Path("other.yaml").write_text("key: value\n")
    rows = {row["recipe"]: row for row in listed(capsys)}
    assert set(rows) == {*shipped_recipes(), "mine.yaml"}
    assert rows["mine.yaml"]["models"] == "onnx -> onnx"
    assert rows["mine.yaml"]["description"] == "Mine."
    assert rows["digits_int8"]["models"] == "keras -> tflite"
    assert all(row["description"] for row in rows.values())


def test_every_plugin_is_listed_with_its_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {(row["section"], row["plugin"]): row["from"] for row in listed(capsys, "plugins")}
    assert set(rows) == {(s, name) for s in SECTIONS for name in registry().section(s)}
    assert rows["source", "keras"].startswith("taxiway ")


def test_groups_are_the_shipped_ones_and_those_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "conf/data/mine.yaml").write_text("type: npz\n")
    options = {(row["group"], row["option"]) for row in listed(capsys, "groups")}
    assert {("data", "mine"), ("data", "npz"), ("deploy", "litert_bundle")} <= options


def test_runs_are_listed_newest_first_without_damaged_ones(tmp_path, make_run, capsys) -> None:
    make_run(tmp_path / "digits/old", age=60, accuracy=0.5)
    make_run(tmp_path / "digits/new", accuracy=0.9712)
    make_run(tmp_path / "digits/broken")
    (tmp_path / "digits/broken/report.json").write_text("{}")
    rows = listed(capsys, "runs", "--output", str(tmp_path))
    assert [(Path(row["run"]).name, row["accuracy"], row["size"]) for row in rows] == [
        ("new", "97.12 %", "2.0 KiB"),
        ("old", "50.00 %", "2.0 KiB"),
    ]


def test_the_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["recipe", "models", "description"]
    column = lines[0].index("models")
    assert all(line[column - 2 : column] == "  " and line[column] != " " for line in lines)


@pytest.mark.parametrize(
    ("word", "hint"),
    [("plugin", "did you mean 'plugins'?"), ("zzz", "one of: recipes, plugins, groups, runs")],
    ids=["near", "far"],
)
def test_an_unknown_word_is_an_error_with_a_hint(word, hint, capsys) -> None:
    assert main(["list", word]) == 2
    assert hint in capsys.readouterr().err
