"""`taxiway run`, `plan` and `validate` on a project of a user's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from taxiway.cli.main import main

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def recipe(onnx_recipe: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(onnx_recipe.parent)
    monkeypatch.setenv("TAXIWAY_STORE", str(onnx_recipe.parent / "store"))
    return str(onnx_recipe)


def report(capsys: Captured) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_run_gives_model_bundle_and_report(recipe: str, capsys: Captured) -> None:
    assert main(["run", recipe]) == 0
    shown = capsys.readouterr().out
    for part in ("optimize.quantize_static", "accuracy", "pass", "bundle", "blobs_int8: accepted"):
        assert part in shown
    (folder,) = Path("runs/blobs_int8").iterdir()
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "blobs_int8.onnx",
        "bundle",
        "report.json",
        "recipe.json",
        "blobs_int8.lock",
        "events.jsonl",
    }
    assert not {name for name in names if name.startswith(".")}


def test_json(recipe: str, capsys: Captured) -> None:
    assert main(["run", recipe, "--json"]) == 0
    result = report(capsys)
    assert result["status"] == "accepted"
    assert result["metrics"]["result"]["accuracy"] > 0.85
    assert [step["cached"] for step in result["steps"]] == [False] * 8


def test_a_failed_gate_stops_before_deploy(recipe: str, capsys: Captured) -> None:
    assert main(["run", recipe, "evaluate.gates.size.max=100 B"]) == 4
    captured = capsys.readouterr()
    assert "FAIL" in captured.out
    assert "above the maximum 100 B" in captured.err
    (folder,) = Path("runs/blobs_int8").iterdir()
    assert (folder / "blobs_int8.not_accepted.onnx").is_file()
    assert not (folder / "bundle").exists()
    assert json.loads((folder / "report.json").read_text())["status"] == "not accepted"

    assert main(["plan", recipe, "evaluate.gates.size.max=100 B", "--json"]) == 0
    states = {step["step"]: step for step in report(capsys)}
    assert states["deploy"]["state"] == "blocked"
    assert "above the maximum" in states["deploy"]["why"]
    assert states["evaluate"]["state"] == "cached"


def test_plan_says_why(recipe: str, capsys: Captured) -> None:
    assert main(["plan", recipe, "--json"]) == 0
    assert {step["why"] for step in report(capsys)} == {"first run"}
    assert main(["run", recipe, "--json"]) == 0
    report(capsys)
    assert main(["plan", recipe, "optimize.quantize_static.calibration.samples=16", "--json"]) == 0
    steps = {step["step"]: (step["state"], step["why"]) for step in report(capsys)}
    assert steps["source"] == ("cached", "")
    assert "options.calibration.samples: 32 -> 16" in steps["optimize.quantize_static"][1]
    assert steps["evaluate.source"] == ("cached", "")
    assert steps["evaluate"] == ("run", "a step before it changed")


def test_flags_and_overrides_mix(recipe: str, capsys: Captured) -> None:
    words = ["run", "--json", recipe, "seed=3", "--output", "elsewhere", "name=other"]
    assert main(words) == 0
    result = report(capsys)
    assert result["name"] == "other"
    assert result["overrides"] == ["seed=3", "name=other"]
    assert (Path("elsewhere") / "other").is_dir()


def test_lock(recipe: str, capsys: Captured) -> None:
    assert main(["run", recipe, "--locked"]) == 2
    assert "no lock file" in capsys.readouterr().err
    assert main(["run", recipe, "--lock"]) == 0
    assert Path(recipe).with_name("blobs_int8.lock").is_file()
    assert main(["run", recipe, "--locked"]) == 0
    capsys.readouterr()
    assert main(["run", recipe, "--locked", "data.scale=2"]) == 5
    error = capsys.readouterr().err
    assert "recipe.data.scale: 1.0 -> 2" in error
    assert "optimize.quantize_static: inputs.data.calibration inputs" in error


def test_groups_of_the_users_own(recipe: str, capsys: Captured) -> None:
    text = Path(recipe).read_text()
    Path("conf/evaluate").mkdir(parents=True)
    Path("conf/evaluate/strict.yaml").write_text(
        "type: classification\ngates: {size: {max: 10 B}}\n"
    )
    Path("more/evaluate").mkdir(parents=True)
    Path("more/evaluate/loose.yaml").write_text(
        "type: classification\ngates: {accuracy: {min: 0.5}}\n"
    )
    Path("own.yaml").write_text(text[: text.index("evaluate:\n  samples")])
    assert main(["run", "own.yaml", "evaluate=strict"]) == 4
    assert main(["run", "own.yaml", "evaluate=loose"]) == 2
    assert "no evaluate 'loose'" in capsys.readouterr().err
    assert main(["run", "own.yaml", "evaluate=loose", "--config-dir", "more"]) == 0


def test_paths_outside_need_a_word_from_the_user(
    recipe: str, tmp_path: Path, capsys: Captured
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Path("blobs.onnx").rename(elsewhere / "blobs.onnx")
    text = Path(recipe).read_text().replace("path: blobs.onnx", f"path: {elsewhere}/blobs.onnx")
    Path(recipe).write_text(text)
    assert main(["plan", recipe]) == 5
    assert "--allow-path" in capsys.readouterr().err
    assert main(["plan", recipe, "--allow-path", str(elsewhere)]) == 0
    assert main(["plan", recipe, f"source.path={elsewhere}/blobs.onnx"]) == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["validate", "--all"], 0),
        (["validate", "--static", "RECIPE"], 0),
        (["validate", "RECIPE", "optimize=[]"], 2),
        (["validate", "RECIPE", "~optimize.quantize_static"], 0),
        (["validate"], 2),
        (["validate", "nothing.yaml"], 2),
        (["run", "RECIPE", "--bogus"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_exit_codes(
    recipe: str, mlperf_variable: None, words: list[str], code: int, capsys: Captured
) -> None:
    assert main([recipe if word == "RECIPE" else word for word in words]) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out


def test_validate_json(recipe: str, capsys: Captured) -> None:
    assert main(["validate", recipe, "--json", "data.scale=big"]) == 2
    (entry,) = report(capsys)
    assert not entry["ok"]
    assert entry["problems"][0]["file"] == "<command line>"
