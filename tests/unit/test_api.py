"""The Python API on a small project of a user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import taxiway
from taxiway.errors import GateError, PluginError, RecipeError, StepError
from taxiway.execute import keys
from taxiway.execute.events import Event, GatesJudged, RunFinished, StepFinished, StepStarted
from taxiway.plugins.registry import install_line


def test_load_plan_run(onnx_recipe: Path, tmp_path: Path) -> None:
    recipe = taxiway.load(onnx_recipe, ["optimize.quantize_static.calibration.samples=16"])
    assert recipe.name == "blobs_int8"
    assert [step.name for step in recipe.plan().steps] == [
        "source",
        "calibration.quantize_static",
        "optimize.quantize_static",
        "parity.optimize.quantize_static",
        "evaluate.source",
        "evaluate",
        "ledger",
        "deploy",
    ]
    seen: list[Event] = []
    result = recipe.run(output=tmp_path / "runs", store=tmp_path / "store", observers=[seen.append])
    assert isinstance(result, taxiway.RunResult)
    assert result.status == "accepted"
    assert taxiway.RunResult.read(result.folder) == result
    finished = [event.step for event in seen if isinstance(event, StepFinished)]
    assert finished == [step.name for step in result.steps]
    assert [type(event) for event in seen][-1] is RunFinished
    assert sum(isinstance(event, GatesJudged) for event in seen) == 1


def test_a_failed_gate_carries_the_result(onnx_recipe: Path, tmp_path: Path) -> None:
    recipe = taxiway.load(onnx_recipe, ["evaluate.gates.size.max=10 B"])
    with pytest.raises(GateError, match="size") as caught:
        recipe.run(output=tmp_path / "runs", store=tmp_path / "store")
    result = caught.value.result  # type: ignore[attr-defined]
    assert result.status == "not accepted"
    assert result.bundle is None
    assert result.artifact.is_file()


def test_a_mistake(onnx_recipe: Path) -> None:
    with pytest.raises(RecipeError, match="unknown key 'sede'"):
        taxiway.load(onnx_recipe, ["sede=1"])


def test_an_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        taxiway.nothing  # noqa: B018


def test_a_file_that_changes_during_its_step(onnx_recipe: Path, tmp_path: Path) -> None:
    """Its result would lie in the store under the key of what the file was before."""
    recipe = taxiway.load(onnx_recipe)

    def change(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "optimize.quantize_static":
            data = onnx_recipe.with_name("blobs.npz")
            with np.load(data) as archive:
                arrays = {name: archive[name] for name in archive.files}
            arrays["x_train"] = arrays["x_train"][::-1]
            np.savez(data, **arrays)

    store = tmp_path / "store"
    with pytest.raises(StepError, match=r"quantize_static: a file that it reads changed"):
        recipe.run(output=tmp_path / "runs", store=store, observers=[change])
    assert recipe.run(output=tmp_path / "runs", store=store).status == "accepted"


def test_a_library_that_is_not_installed(
    onnx_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = {"onnxruntime": keys.NOT_INSTALLED, "tf-keras": keys.NOT_INSTALLED}
    monkeypatch.setattr(keys, "_version", lambda name: absent.get(name, "1.0"))
    recipe = taxiway.load(onnx_recipe)
    with pytest.raises(
        PluginError, match=r"quantize_static needs what is not installed: onnxruntime"
    ):
        recipe.run(output=tmp_path / "runs", store=tmp_path / "store")
    assert not (tmp_path / "runs").exists()
    assert install_line(absent) == "pip install 'taxiway[tensorflow]'"
