"""A sweep: every point checked before any work, shared steps made once, one comparison at the end."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from taxiway.cli.main import main

pytestmark = pytest.mark.slow
SAMPLES = "optimize.quantize_static.calibration.samples"
SIZES = "evaluate.gates.size.max='1 B','1 MiB'"


@pytest.fixture
def sweep(tmp_path: Path, onnx_recipe: Path):
    """Runs a sweep of the small recipe and gives its exit code."""

    def run(*words: str) -> int:
        where = ["--store", str(tmp_path / "store"), "--output", str(tmp_path / "runs")]
        return main(["run", str(onnx_recipe), "--multirun", *where, *words])

    return run


@pytest.fixture
def folders(tmp_path: Path):
    return lambda: sorted((tmp_path / "runs").glob("blobs_int8/sweep_*"))


def report(folder: Path) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = json.loads((folder / "sweep.json").read_bytes())
    return points


def made(folder: Path) -> Counter[str]:
    """How often each key was made."""
    lines = [line for log in folder.glob("*/events.jsonl") for line in log.read_text().splitlines()]
    ends = [event for event in map(json.loads, lines) if event["event"] == "stepfinished"]
    return Counter(event["key"] for event in ends if not event["cached"])


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_points_share_their_steps(launcher: str, sweep, folders, capsys) -> None:
    """The source and its measurement are the same at both points."""
    assert sweep(f"{SAMPLES}=16,32", f"hydra/launcher={launcher}") == 0
    (folder,) = folders()
    points = report(folder)
    assert [point["overrides"] for point in points] == [[f"{SAMPLES}=16"], [f"{SAMPLES}=32"]]
    assert [point["result"]["status"] for point in points] == ["accepted", "accepted"]
    counted = made(folder)
    assert set(counted.values()) == {1}
    assert len(counted) == 14
    keys = [{step["name"]: step["key"] for step in point["result"]["steps"]} for point in points]
    same = {name for name in keys[0] if keys[0][name] == keys[1][name]}
    assert same == {"source", "evaluate.source"}
    for number, point in enumerate(points):
        for made_one in ("artifact", "bundle", "folder"):
            path = Path(point["result"][made_one])
            assert path.exists()
            assert path.is_relative_to(folder / str(number))
    assert {path.name for path in folder.iterdir()} == {"0", "1", "multirun.yaml", "sweep.json"}
    shown = capsys.readouterr().out
    assert "samples=16" in shown
    assert "samples=32" in shown
    assert "sweep.json" in shown


def test_the_points_are_the_product_of_the_axes(sweep, folders) -> None:
    assert sweep(f"{SAMPLES}=16,32", "seed=0,1", "evaluate.samples=48") == 0
    points = [point["overrides"] for point in report(folders()[0])]
    fixed = "evaluate.samples=48"
    assert points == [
        [f"{SAMPLES}={samples}", f"seed={seed}", fixed] for samples in (16, 32) for seed in (0, 1)
    ]


def test_the_recipe_may_name_the_points(sweep, folders, onnx_recipe: Path) -> None:
    swept = f"hydra:\n  sweeper:\n    params:\n      {SAMPLES}: 16,32\n"
    onnx_recipe.write_text(onnx_recipe.read_text() + swept)
    assert sweep() == 0
    points = [point["overrides"] for point in report(folders()[0])]
    assert points == [[f"{SAMPLES}=16"], [f"{SAMPLES}=32"]]


def test_a_point_that_fails_a_gate_does_not_stop_the_others(sweep, folders, capsys) -> None:
    assert sweep(SIZES) == 4
    first, second = report(folders()[0])
    assert (first["exit_code"], first["result"]["status"]) == (4, "not accepted")
    assert (second["exit_code"], second["result"]["status"]) == (0, "accepted")
    assert "1 gate failed: size " in first["error"]
    assert first["result"]["bundle"] is None
    assert Path(first["result"]["artifact"]).name == "blobs_int8.not_accepted.onnx"
    shown = capsys.readouterr().out
    assert "not accepted" in shown
    assert "1 gate failed" in shown


def test_a_point_whose_step_fails_does_not_stop_the_others(sweep, folders, capsys) -> None:
    assert sweep("limits.time='1 us','1 min'") == 1
    first, second = report(folders()[0])
    assert first["result"] is None
    assert first["error"].startswith("source gave no result within 1 us")
    assert second["result"]["status"] == "accepted"
    assert "failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "messages"),
    [
        ([f"{SAMPLES}=16,0"], 2, ["samples is 0; it must be at least 1"]),
        ([f"{SAMPLES}=0,16", "seed=-1,0"], 2, [SAMPLES, "seed"]),
        (["deploy=onnxruntime_bundle,litert_bundle"], 2, ["litert_bundle' takes tflite"]),
        (
            ["evaluate.split=one,two"],
            2,
            ["the data has no split 'one'", "the data has no split 'two'"],
        ),
        ([f"{SAMPLES}=16,32", "deploy=absent"], 2, ["absent"]),
        (["source.path=blobs.onnx,absent.onnx"], 2, ["absent.onnx"]),
        ([f"{SAMPLES}=16,"], 2, ["not an override"]),
        ([f"{SAMPLES}=16,32", "--lock"], 2, ["a sweep has no lock file"]),
        ([f"{SAMPLES}=16,32", "hydra/launcher=absent"], 3, ["hydra/launcher/absent", "joblib"]),
    ],
    ids=["value", "values", "plan", "plans", "group", "file", "grammar", "lock", "launcher"],
)
def test_a_mistake_in_any_point_is_said_before_any_work(
    words, code, messages, sweep, folders, tmp_path: Path, capsys
) -> None:
    assert sweep(*words) == code
    said = capsys.readouterr()
    for message in messages:
        assert message in said.err
    assert "Traceback" not in said.err
    assert folders() == []
    assert not (tmp_path / "store/steps").exists()


def test_as_json_the_report_alone_is_printed(sweep, folders, capsys) -> None:
    assert sweep(f"{SAMPLES}=16,32", "--json") == 0
    assert json.loads(capsys.readouterr().out) == report(folders()[0])


def test_two_sweeps_of_one_second_have_folders_of_their_own(sweep, folders, monkeypatch) -> None:
    monkeypatch.setattr("time.strftime", lambda format: "2030-01-01_00-00-00")
    assert sweep("seed=0,1") == sweep("seed=2,3") == 0
    assert [len(report(folder)) for folder in folders()] == [2, 2]
    seeds = {
        text for folder in folders() for point in report(folder) for text in point["overrides"]
    }
    assert seeds == {"seed=0", "seed=1", "seed=2", "seed=3"}


def test_without_the_flag_a_sweep_is_a_mistake_that_names_it(onnx_recipe: Path, capsys) -> None:
    assert main(["run", str(onnx_recipe), f"{SAMPLES}=16,32"]) == 2
    assert "--multirun" in capsys.readouterr().err
