"""Every shipped recipe: short, validated, planned, run, and run again from the cache."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import taxiway
from taxiway.compose.assets import shipped_recipes
from taxiway.deploy.verify import verify
from taxiway.errors import PluginError, StepError
from taxiway.fetch import Remote, parse
from taxiway.fetch.local import fetch
from taxiway.plugins import registry

RECIPES = shipped_recipes()
LOWEST_ACCURACY = {
    "digits_int8": 0.97,
    "digits_onnx_int8": 0.97,
    "digits_dynamic": 0.97,
    # MLPerf Tiny's reference int8 model has 90.2 % on these samples; the benchmark asks for 90 %.
    "mlperf_tiny/kws_int8": 0.902,
    # The reference float model has 91.3 % on them.
    "speech/kws_onnx": 0.912,
    # On the 800 of them that it does not choose on, the float model has 90.5 %.
    "speech/kws_mixed_precision": 0.9,
    "vision/mnist_distilled": 0.96,
    "vision/mnist_pruned_int8": 0.97,
}
UNLABELLED = {
    "speech/basic_pitch_onnx",
    "text/minilm_int8",
    "text/minilm_onnx",
    "vision/person_onnx",
    "vision/resnet8_int8",
}
MAX_DATA = 2_000_000
"""Bytes of all shipped data."""


@pytest.fixture
def variables(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a recipe takes from the environment; skips where this one cannot be run."""
    text = RECIPES[request.node.callspec.params["name"]].read_text()
    source = next(
        entry["source"] for entry in yaml.safe_load(text)["defaults"] if "source" in entry
    )
    if source not in registry().section("source"):
        pytest.skip(f"there is no source '{source}'")
    if "TAXIWAY_MLPERF_TINY" in text:
        folder: Path = request.getfixturevalue("mlperf_tiny")
        monkeypatch.setenv("TAXIWAY_MLPERF_TINY", str(folder))


def fetched(recipe: taxiway.api.Recipe, store: Path) -> Path | None:
    """The wheel of a recipe that names one, in the store; skips where it cannot be had."""
    source = recipe.composed.options["source"]
    location = parse(source["path"])
    if not isinstance(location, Remote):
        return None
    try:
        return fetch(location, source["sha256"], store, 300.0, lambda *_: None)[0]
    except (StepError, PluginError) as error:
        pytest.skip(f"{location.shown} cannot be fetched here: {error.message}")


def test_the_table_knows_every_recipe() -> None:
    assert {*LOWEST_ACCURACY, *UNLABELLED} == set(RECIPES)


def test_the_data_is_small_and_has_its_origin() -> None:
    root = RECIPES["digits_int8"].parent
    sources = (root / "data" / "SOURCES.md").read_text()
    data = list(root.rglob("*.npz"))
    assert sum(file.stat().st_size for file in data) < MAX_DATA
    missing = [file.name for file in data if f"{file.parent.name}/{file.name}" not in sources]
    assert not missing


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_short_and_has_no_code(name: str) -> None:
    lines = [line.strip() for line in RECIPES[name].read_text().splitlines()]
    written = [line for line in lines if line and not line.startswith("#")]
    assert len(written) <= 30


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.usefixtures("variables")
def test_it_plans(name: str) -> None:
    """A remote model is not fetched for that."""
    steps = taxiway.load(name).plan().steps
    assert [step.section for step in (steps[0], steps[-1])] == ["source", "deploy"]
    assert ("evaluate" in {step.section for step in steps}) is (name in LOWEST_ACCURACY)
    assert len({step.key for step in steps}) == len(steps)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.usefixtures("variables")
def test_it_runs(name: str, tmp_path: Path) -> None:
    recipe = taxiway.load(name)
    try:
        recipe.plan().check_installed()
    except PluginError as error:
        pytest.skip(f"{error.message}: {error.hint}")
    fetched(recipe, tmp_path / "store")
    first = recipe.run(output=tmp_path / "runs", store=tmp_path / "store")
    if name in LOWEST_ACCURACY:
        assert first.status == "accepted"
        assert first.metrics["result"]["accuracy"] >= LOWEST_ACCURACY[name]
        assert first.metrics["result"]["size"] < first.metrics["source"]["size"]
        assert first.artifact and first.artifact.stat().st_size == first.metrics["result"]["size"]
    else:
        assert first.status == "no gates" and first.licence
    assert first.bundle and verify(first.bundle)["name"] == recipe.name

    again = recipe.run(output=tmp_path / "runs", store=tmp_path / "store")
    assert all(step.cached for step in again.steps)
    assert again.artifact_digest == first.artifact_digest
    assert again.metrics == first.metrics


# By name in ONNX as its inference.py reads them; its TFLite file has the names themselves.
VENDOR_OUTPUTS = {
    "onnx": {f"StatefulPartitionedCall:{at}": at for at in (0, 1, 2)},
    "tflite": {"contour": 0, "note": 1, "onset": 2},
}


@pytest.mark.slow
def test_basic_pitch_gives_what_its_own_files_give(tmp_path: Path) -> None:
    """The wheel holds the same model as ONNX and as TFLite, converted by those who trained it."""
    import numpy as np

    from taxiway.fetch.wheel import extract
    from taxiway.model.inspect import describe
    from taxiway.model.runners import open_runner

    recipe = taxiway.load("speech/basic_pitch_onnx", ["deploy=null"])
    wheel = fetched(recipe, tmp_path / "store")
    assert wheel
    artifact = recipe.run(output=tmp_path / "runs", store=tmp_path / "store").artifact
    assert artifact
    with np.load(RECIPES["speech/basic_pitch_onnx"].with_name("audio.npz")) as data:
        audio = (data["audio"] / 32_767).astype(np.float32)

    def predict(path: Path, format: str) -> dict[str, np.ndarray]:
        runner = open_runner(describe(path, format))
        return runner.predict({runner.signature.inputs[0].name: audio})

    ours = predict(artifact, "onnx")
    for format, names in VENDOR_OUTPUTS.items():
        (tmp_path / format).mkdir()
        path = f"basic_pitch/saved_models/icassp_2022/nmp.{format}"
        for name, output in predict(extract(wheel, path, tmp_path / format), format).items():
            mine = ours[("contour", "note", "onset")[names[name]]]
            assert mine.shape == output.shape and mine.max() > 0.1
            assert np.abs(mine - output).max() <= 1e-5, (format, name)


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
