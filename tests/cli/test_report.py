from __future__ import annotations

import json
from pathlib import Path

import pytest

from taxiway.cli.main import main


@pytest.fixture
def runs(tmp_path: Path, make_run) -> Path:
    make_run(tmp_path / "runs/kws/first", age=90, accuracy=0.91)
    make_run(tmp_path / "runs/digits/first", age=60, accuracy=0.5)
    make_run(tmp_path / "runs/digits/second", age=30, accuracy=0.97)
    return tmp_path / "runs"


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        (None, 0.97),
        ("digits", 0.97),
        ("some/digits.yaml", 0.97),
        ("mlperf_tiny/kws", 0.91),
        ("RUNS/digits/first", 0.5),
        ("RUNS/digits", 0.97),
    ],
    ids=["newest", "recipe", "recipe file", "recipe in a folder", "folder", "recipe's folder"],
)
def test_the_run_is_found_by_name_or_folder(name, accuracy, runs, capsys) -> None:
    words = [name.replace("RUNS", str(runs))] if name else []
    assert main(["report", *words, "--output", str(runs), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["result"]["accuracy"] == accuracy


def test_a_folder_named_like_the_recipe_does_not_hide_its_runs(runs, monkeypatch, capsys) -> None:
    monkeypatch.chdir(runs)
    assert main(["report", "digits", "--output", ".", "--json"]) == 0
    assert Path(json.loads(capsys.readouterr().out)["folder"]).name == "second"


def test_the_summary_is_printed_again(runs, capsys) -> None:
    assert main(["report", "digits", "--output", str(runs)]) == 0
    out = capsys.readouterr().out
    assert "97.00 %" in out
    assert "digits: accepted" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digit"], "did you mean 'digits'?"),
        (["zzz"], "runs of: digits, kws"),
        (["--output", "nowhere"], "`taxiway run RECIPE` makes one"),
        (["RUNS"], "no run of"),
    ],
    ids=["near", "unknown", "no runs", "folder of all runs"],
)
def test_no_run_is_an_error_that_says_what_to_type(words, message, runs, capsys) -> None:
    words = [word.replace("RUNS", str(runs)) for word in words]
    places = [] if "--output" in words else ["--output", str(runs)]
    assert main(["report", *words, *places]) == 2
    assert message in capsys.readouterr().err


def test_a_damaged_report_is_an_error(runs, capsys) -> None:
    (runs / "digits/first/report.json").write_text('{"name": 3}')
    assert main(["report", str(runs / "digits/first"), "--output", str(runs)]) == 2
    assert "cannot be read" in capsys.readouterr().err
