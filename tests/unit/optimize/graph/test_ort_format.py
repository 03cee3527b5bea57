"""ONNX Runtime's own format: the same model, the same bytes, a gate, and nothing after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_graphs import MODELS, batchnorm_cnn, encoder

import taxiway
from taxiway import safety
from taxiway.errors import RecipeError, SafetyError, StepError
from taxiway.model.formats import detect
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner, runtime_of
from taxiway.parity.precision import precision_of
from taxiway.safety.ort_model import findings


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("level", ["basic", "extended"])
def test_it_is_the_same_model(
    name: str, level: str, optimize: Any, proven: Any, tmp_path: Path
) -> None:
    model = MODELS[name](tmp_path / "m.onnx")
    result, told = optimize(model, "ort_format", level=level)
    assert result.format == "ort" and result.path.suffix == ".ort"
    assert result.signature == model.signature == describe(result.path, "ort").signature
    assert runtime_of("ort") == "ONNX Runtime" and precision_of(result) == "fp32"
    assert told["graph"]["bytes"]["after"] == result.size
    safety.check(result.path, "ort")
    verdict = proven(model, result)
    assert verdict["equal"], verdict["reason"]


def test_two_files_of_one_model_have_the_same_bytes(optimize: Any, tmp_path: Path) -> None:
    """The runtime itself walks hash maps: its two files differ."""
    model = encoder(tmp_path / "m.onnx")
    first, second = (optimize(model, "ort_format")[0].path.read_bytes() for _ in range(2))
    assert first == second


def test_it_is_no_source(optimize: Any, tmp_path: Path) -> None:
    result, _ = optimize(batchnorm_cnn(tmp_path / "m.onnx"), "ort_format")
    with pytest.raises(StepError, match="ONNX Runtime's own format") as caught:
        detect(result.path)
    assert "the .onnx file" in str(caught.value.hint)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    from taxiway.optimize.graph.offline import optimize_offline

    folder = tmp_path_factory.mktemp("ort")
    settings = [("session.save_model_format", "ORT")]
    model = batchnorm_cnn(folder / "m.onnx")
    return optimize_offline(model, folder / "m.ort", "basic", (), settings).read_bytes()


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans())
def test_the_gate_never_fails_on_a_damaged_file(
    content: bytes, tmp_path_factory: pytest.TempPathFactory, place: float, value: int, cut: bool
) -> None:
    at = int(place * len(content))
    damaged = content[:at] if cut else content[:at] + bytes([value]) + content[at + 1 :]
    path = tmp_path_factory.getbasetemp() / "damaged.ort"
    path.write_bytes(damaged)
    found = findings(path)
    assert all(isinstance(finding, str) for finding in found)
    if cut and at < 8:
        assert found


def test_an_operator_that_the_runtime_does_not_bring(content: bytes, tmp_path: Path) -> None:
    assert content.count(b"Conv\0")
    (tmp_path / "bad.ort").write_bytes(content.replace(b"Conv\0", b"Corv\0"))
    with pytest.raises(SafetyError, match="op Corv of domain"):
        safety.check(tmp_path / "bad.ort", "ort")


def test_a_pass_after_it_is_a_mistake(onnx_recipe: Path) -> None:
    overrides = [
        "optimize=[ort_format,quantize_static]",
        "optimize.quantize_static.calibration.samples=32",
    ]
    with pytest.raises(RecipeError) as caught:
        taxiway.load(onnx_recipe, overrides).plan()
    (problem,) = caught.value.problems
    assert "'quantize_static' works on" in problem.message and "'ort_format'" in problem.message
    assert problem.hint == "put 'quantize_static' before 'ort_format' in the defaults list"


def test_a_recipe_ends_with_a_bundle_of_it(onnx_recipe: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    recipe = taxiway.load(onnx_recipe, ["optimize=[quantize_static,ort_format]"])
    steps = {step.name: step for step in recipe.plan().steps}
    assert steps["optimize.ort_format"].gives == "ort" and steps["deploy"].takes == "ort"
    result = recipe.run(output=tmp_path / "runs", store=tmp_path / "store")
    assert result.status == "accepted" and result.artifact and result.bundle
    assert result.artifact.suffix == ".ort"
    assert result.parity["optimize.ort_format"]["equal"]
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=result.bundle, capture_output=True, text=True, check=True
    )
    assert "bit-equal" in done.stdout
    runner = open_runner(describe(result.artifact, "ort"))
    assert runner.predict({"x": np.zeros((3, 8), np.float32)})["probability"].shape == (3, 3)
