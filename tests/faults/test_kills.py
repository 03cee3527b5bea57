"""Runs killed at any point go on from what they finished, to the same bytes.

TAXIWAY_FAULTS=full: the whole matrix instead of a sample of it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

FULL = os.environ.get("TAXIWAY_FAULTS") == "full"
STEPS = 8
"""Of the recipe that is killed."""
pytestmark = pytest.mark.slow

Event = dict[str, Any]


def after(kind: str, step: str) -> tuple[str, str]:
    return f"step{kind}", step


EVENTS = [
    after("started", "source"),
    after("finished", "source"),
    after("started", "optimize.quantize_static"),
    after("finished", "optimize.quantize_static"),
    after("started", "evaluate"),
    after("finished", "deploy"),
]


def check_resumed(runs, killed, recipe: Path | str, clean: dict[str, Any]) -> None:
    """What was published before the kill is whole and found; the rest is made to the same bytes."""
    published = runs.published()
    begun = {e["step"] for e in killed.events() if e["event"] == "stepstarted"}
    resumed, report = runs.finish(recipe)
    assert set(resumed.finished(cached=True)) == published
    lost = [
        step
        for step in report["steps"]
        if step["name"] in begun and step["key"] in resumed.finished(cached=False)
    ]
    assert len(lost) <= 1
    assert report["artifact_digest"] == clean["report"]["artifact_digest"]
    assert runs.models() == clean["models"]
    assert runs.unfinished() == []


@pytest.fixture(scope="module")
def clean(
    tmp_path_factory: pytest.TempPathFactory, onnx_recipe_files: Path, new_runs
) -> dict[str, Any]:
    """A run that nobody disturbed."""
    runs = new_runs(tmp_path_factory.mktemp("clean"))
    started = time.monotonic()
    _, report = runs.finish(onnx_recipe_files)
    return {"report": report, "models": runs.models(), "seconds": time.monotonic() - started}


@pytest.mark.parametrize(("kind", "step"), EVENTS, ids=map(" ".join, EVENTS))
def test_killed_right_after_an_event(kind, step, runs, clean, onnx_recipe: Path, gone) -> None:
    killed = runs.start(onnx_recipe)
    assert killed.wait_for(lambda event: (event["event"], event.get("step")) == (kind, step))
    workers = killed.signal(signal.SIGKILL)
    killed.end()
    assert gone(workers)
    check_resumed(runs, killed, onnx_recipe, clean)


def test_killed_at_any_time(new_runs, clean, onnx_recipe: Path, gone, tmp_path: Path) -> None:
    points = random.Random(0)
    for number in range(200 if FULL else 3):
        these = new_runs(tmp_path / str(number))
        killed = these.start(onnx_recipe)
        time.sleep(clean["seconds"] * points.uniform(0.2, 1.0))
        workers = killed.signal(signal.SIGKILL)
        killed.end()
        assert gone(workers)
        check_resumed(these, killed, onnx_recipe, clean)


@pytest.fixture(scope="module")
def shipped() -> dict[str, dict[str, Any]]:
    """Recipe -> what an undisturbed run gave."""
    return {}


@pytest.mark.parametrize(
    ("recipe", "step"),
    [
        ("digits_int8", "source"),
        ("digits_int8", "evaluate.source"),
        ("digits_dynamic", "convert"),
        ("digits_onnx_int8", "convert.saved_model"),
    ],
)
def test_a_resumed_shipped_recipe_gives_the_bytes_of_a_clean_run(
    recipe: str, step: str, runs, new_runs, shipped, tmp_path: Path
) -> None:
    """The worker that goes on has another history than one that did every step."""
    if recipe not in shipped:
        other = new_runs(tmp_path / "clean")
        _, report = other.finish(recipe)
        shipped[recipe] = {"report": report, "models": other.models()}
    killed = runs.start(recipe)
    assert killed.wait_for(
        lambda event: (event["event"], event.get("step")) == ("stepfinished", step)
    )
    killed.signal(signal.SIGKILL)
    killed.end()
    check_resumed(runs, killed, recipe, shipped[recipe])


RENAMES = """
import os, signal, sys
from pathlib import Path
from taxiway.cli.main import main

when, number = sys.argv[1].split()
replace, count = Path.replace, 0


def killing(self, target):
    global count
    count += 1
    if when == "before" and count == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    result = replace(self, target)
    if when == "after" and count == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return result


Path.replace = killing
sys.exit(main(sys.argv[2:]))
"""


def test_killed_after_each_rename_it_still_gets_to_the_end(
    runs, clean, onnx_recipe: Path, tmp_path: Path
) -> None:
    """Every run may do one rename: each publishes a step, then the run folder's own would follow."""
    script = tmp_path / "renames.py"
    script.write_text(RENAMES)
    for steps in range(1, STEPS):
        killed = runs.start(onnx_recipe, program=(str(script), "after 1"))
        assert killed.end()[0] == -signal.SIGKILL
        assert len(runs.published()) == steps
        (folder,) = killed.folders()
        assert not (folder / "report.json").exists()
    check_resumed(runs, killed, onnx_recipe, clean)


@pytest.mark.parametrize("number", range(1, STEPS + 6) if FULL else (3, STEPS + 2, STEPS + 5))
def test_killed_before_a_rename(number, runs, clean, onnx_recipe: Path, tmp_path: Path) -> None:
    """The first publish a step each; then come model, bundle, lock, recipe and report of the run folder."""
    script = tmp_path / "renames.py"
    script.write_text(RENAMES)
    killed = runs.start(onnx_recipe, program=(str(script), f"before {number}"))
    assert killed.end()[0] == -signal.SIGKILL
    assert len(runs.published()) == min(number - 1, STEPS)
    (folder,) = killed.folders()
    kept = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    order = ["blobs_int8.onnx", "bundle", "blobs_int8.lock", "recipe.json", "report.json"]
    assert kept == {"events.jsonl", "worker.log", *order[: max(number - STEPS - 1, 0)]}
    check_resumed(runs, killed, onnx_recipe, clean)


@pytest.mark.parametrize(
    ("number", "to"),
    [(signal.SIGINT, "group"), (signal.SIGINT, "process"), (signal.SIGTERM, "process")],
    ids=["Ctrl-C", "SIGINT", "SIGTERM"],
)
def test_an_interrupted_run_says_how_to_go_on(
    number: int, to: str, runs, clean, onnx_recipe: Path, gone
) -> None:
    run = runs.start(onnx_recipe)
    step = "optimize.quantize_static"
    assert run.wait_for(lambda e: (e["event"], e.get("step")) == ("stepstarted", step))
    workers = run.signal(0)
    if to == "group":
        os.killpg(run.process.pid, number)
    else:
        run.process.send_signal(number)
    code, _, err = run.end()
    assert code == 130
    assert "error: interrupted; 2 of 8 steps are finished and kept" in err
    assert "hint: run the same command again to go on from there" in err
    assert "Traceback" not in err
    assert workers
    assert gone(workers)
    assert runs.unfinished() == []
    (folder,) = run.folders()
    assert {path.name for path in folder.iterdir()} == {"events.jsonl", "worker.log"}
    check_resumed(runs, run, onnx_recipe, clean)


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_an_interrupted_sweep_leaves_nothing_running(
    launcher: str, runs, onnx_recipe: Path, gone
) -> None:
    sweep = "optimize.quantize_static.calibration.samples=16,32"
    run = runs.start(onnx_recipe, "--multirun", sweep, f"hydra/launcher={launcher}")
    step = "optimize.quantize_static"
    assert run.wait_for(lambda e: (e["event"], e.get("step")) == ("stepstarted", step))
    workers = run.signal(0)
    os.killpg(run.process.pid, signal.SIGINT)
    code, _, err = run.end()
    assert code == 130, err
    assert "Traceback" not in err
    assert workers
    assert gone(workers)
