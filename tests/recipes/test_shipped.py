"""Every shipped recipe: short, validated, planned, run, and run again from the cache."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import taxiway
from taxiway.compose.assets import shipped_recipes
from taxiway.deploy.verify import verify

RECIPES = shipped_recipes()
LOWEST_ACCURACY = {
    "digits_int8": 0.97,
    "digits_onnx_int8": 0.97,
    "digits_dynamic": 0.97,
    # MLPerf Tiny's reference int8 model has 90.2 % on these samples; the benchmark asks for 90 %.
    "mlperf_tiny/kws_int8": 0.902,
}


@pytest.fixture
def variables(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a recipe takes from the environment."""
    if "mlperf_tiny" in request.node.callspec.params["name"]:
        folder: Path = request.getfixturevalue("mlperf_tiny")
        monkeypatch.setenv("TAXIWAY_MLPERF_TINY", str(folder))


def test_the_table_knows_every_recipe() -> None:
    assert set(RECIPES) == set(LOWEST_ACCURACY)


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_short_and_has_no_code(name: str) -> None:
    lines = [line.strip() for line in RECIPES[name].read_text().splitlines()]
    written = [line for line in lines if line and not line.startswith("#")]
    assert len(written) <= 30


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.usefixtures("variables")
def test_it_plans(name: str) -> None:
    steps = taxiway.load(name).plan().steps
    assert [step.section for step in steps[:1] + steps[-2:]] == ["source", "evaluate", "deploy"]
    assert len({step.key for step in steps}) == len(steps)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.usefixtures("variables")
def test_it_runs(name: str, tmp_path: Path) -> None:
    recipe = taxiway.load(name)
    first = recipe.run(output=tmp_path / "runs", store=tmp_path / "store")
    assert first.status == "accepted"
    assert first.metrics["result"]["accuracy"] >= LOWEST_ACCURACY[name]
    assert first.metrics["result"]["size"] < first.metrics["source"]["size"]
    assert first.artifact and first.artifact.stat().st_size == first.metrics["result"]["size"]
    assert first.bundle and verify(first.bundle)["name"] == recipe.name

    again = recipe.run(output=tmp_path / "runs", store=tmp_path / "store")
    assert all(step.cached for step in again.steps)
    assert again.artifact_digest == first.artifact_digest
    assert again.metrics == first.metrics


@pytest.mark.slow
def test_the_bundle_runs_by_hand(tmp_path: Path) -> None:
    """What the card of a bundle tells its reader to type."""
    result = taxiway.load("digits_int8").run(output=tmp_path / "runs", store=tmp_path / "store")
    assert result.bundle
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=result.bundle, capture_output=True, text=True, check=True
    )
    assert "bit-equal" in done.stdout
    assert (result.bundle / "labels.txt").read_text().split() == list("0123456789")
    report = json.loads((result.folder / "report.json").read_text())
    assert report["status"] == "accepted"
    assert {verdict["metric"] for verdict in report["verdicts"]} == {
        "accuracy",
        "latency_p95",
        "size",
    }
