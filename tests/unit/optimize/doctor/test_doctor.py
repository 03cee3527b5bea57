"""Planted faults in samples: each is found, and good samples bring no warning."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calibration_data import Splits, pictures
from onnx_graphs import F, Graph
from rich.console import Console

import taxiway
from taxiway.errors import StepError
from taxiway.execute.result import RunResult
from taxiway.model import Model
from taxiway.report.summary import summary

Array = np.ndarray[Any, Any]


def split(calibration: Array, test: Array | None = None, **more: Any) -> Splits:
    inputs = {"calibration": {"image": calibration}}
    inputs |= {} if test is None else {"test": {"image": test}}
    return Splits(inputs, **more)


def noise(count: int, seed: int, kind: str = "uniform") -> Array:
    random = np.random.default_rng(seed)
    draw = random.random if kind == "uniform" else random.standard_normal
    return draw((count, 1, 12, 12)).astype(np.float32)


def bright(count: int, every: int) -> Array:
    """Pictures of which each one that `every` counts is many times brighter."""
    images = pictures(count)
    images[every - 1 :: every] *= 6
    return images


def with_copies(count: int) -> Array:
    images = pictures(64)
    images[-count:] = images[:count]
    return images


def test_good_samples_bring_no_warning(cnn: Model, doctor: Any) -> None:
    data = split(
        pictures(300),
        pictures(200, 1),
        labels={"calibration": np.arange(300) % 3},
        class_names=("a", "b", "c"),
    )
    figures = doctor(cnn, data, samples=256)
    assert figures["warnings"] == []
    assert figures["duplicates"] == {"exact": 0, "near": figures["duplicates"]["near"]}
    assert figures["leakage"] == {"split": "test", "rows": 0, "looked_at": 200}
    assert figures["ranges"]["looked_at"] == 300 and figures["ranges"]["tensors"] == 5
    assert figures["classes"] == {"0": 86, "1": 85, "2": 85}
    assert not figures["random"] and figures["structure"]["image"] > 3
    assert data.largest <= 64, "samples are streamed"


WARNED = {
    "too few": (
        lambda: (split(np.tile(bright(40, 40), (10, 1, 1, 1)), pictures(99, 1)), {"samples": 16}),
        "ranges stop moving after 40 samples; you gave 16: calibration.samples=40",
    ),
    "out of range": (
        lambda: (split(bright(400, 20), pictures(99, 1)), {"samples": 16}),
        "of 384 other samples, values fall outside of the ranges that yours set: 'scores'",
    ),
    "the split is too small": (
        lambda: (split(bright(64, 60)[:64], pictures(99, 1)), {"samples": 64}),
        "ranges still move at the end of the 64 samples that you gave; the split has no more",
    ),
    "leakage": (
        lambda: (split(pictures(64), np.concatenate([pictures(64)[5:12], pictures(50, 1)])), {}),
        "7 of the 64 samples are also in split 'test'",
    ),
    "one split for both": (
        lambda: (split(pictures(64)), {"test": "calibration"}),
        "calibration and test read the same split 'calibration'",
    ),
    "copies": (
        lambda: (split(with_copies(9), pictures(50, 1)), {}),
        "9 of the 64 samples are copies of others",
    ),
    "near copies": (
        lambda: (split(np.concatenate([pictures(32), pictures(32) + 1e-4]), pictures(50, 1)), {}),
        "of the 64 samples are nearly copies of others",
    ),
    "a class is missing": (
        lambda: (
            split(
                pictures(64),
                pictures(50, 1),
                labels={"calibration": np.arange(64) % 2},
                class_names=("cat", "dog", "owl"),
            ),
            {},
        ),
        "the samples have none of 1 classes: owl",
    ),
    "lopsided classes": (
        lambda: (
            split(pictures(64), pictures(50, 1), labels={"calibration": np.arange(64) // 62}),
            {},
        ),
        "class 0 has 62 of the 64 samples, class 1 has 2",
    ),
    "another scale": (
        lambda: (split(pictures(64) * 255, pictures(50, 1)), {}),
        "they are scaled differently",
    ),
    "noise everywhere": (
        lambda: (split(noise(64, 0), noise(64, 1)), {}),
        "the samples look like random noise",
    ),
    "noise that was asked for": (
        lambda: (split(noise(64, 0), pictures(64, 1)), {"allow_random": True}),
        "the samples look like random noise",
    ),
}


@pytest.mark.parametrize("name", WARNED)
def test_a_planted_fault_is_found(name: str, cnn: Model, doctor: Any) -> None:
    made, said = WARNED[name]
    data, options = made()
    warnings = doctor(cnn, data, **options)["warnings"]
    assert any(said in warning for warning in warnings), warnings


def broken_rows(value: float) -> Array:
    images = pictures(64)
    images[37, 0, 3, 3] = value
    return images


REFUSED = {
    "uniform noise": (split(noise(64, 0), pictures(64, 1)), "are random noise"),
    "normal noise": (split(noise(64, 0, "normal"), pictures(64, 1)), "are random noise"),
    "one sample many times": (
        split(np.repeat(pictures(1), 64, axis=0), pictures(64, 1)),
        "all 64 calibration samples of split 'calibration' are one and the same",
    ),
    "rows of one value": (
        split(np.ones((64, 1, 12, 12), np.float32) * np.arange(64)[:, None, None, None]),
        "is one value all over",
    ),
    "NaN": (split(broken_rows(np.nan)), "row 37 of split 'calibration' has NaN"),
    "infinity": (split(broken_rows(np.inf)), "row 37 of split 'calibration' has NaN"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_samples_that_teach_nothing_are_refused(name: str, cnn: Model, doctor: Any) -> None:
    data, said = REFUSED[name]
    with pytest.raises(StepError, match=said) as caught:
        doctor(cnn, data)
    assert caught.value.hint
    if name not in ("NaN", "infinity"):
        assert "calibration.allow_random=true" in caught.value.hint
        assert doctor(cnn, data, allow_random=True)["samples"] == 64
    else:
        with pytest.raises(StepError, match=said):
            doctor(cnn, data, allow_random=True)


def test_nan_inside_the_model_is_named(doctor: Any, tmp_path: Path) -> None:
    g = Graph()
    g.call("Sqrt", g.call("Sub", "image", g.constant(0.5), output="moved"), output="root")
    g.call("Relu", "root", output="y")
    shape = ["n", 1, 12, 12]
    model = g.save(tmp_path / "m.onnx", [("image", F, shape)], [("y", F, shape)])
    with pytest.raises(StepError, match="the first tensor with it is 'root'"):
        doctor(model, split(pictures(64), pictures(9, 1)))


def test_infinite_values_are_a_warning(doctor: Any, tmp_path: Path) -> None:
    g = Graph()
    g.call("Softmax", g.call("Log", g.call("Relu", "image"), output="logs"), output="y", axis=-1)
    shape = ["n", 1, 12, 12]
    model = g.save(tmp_path / "m.onnx", [("image", F, shape)], [("y", F, shape)])
    images = pictures(64)
    images[:, :, 0, 0] = 0
    warnings = doctor(model, split(images, pictures(9, 1)))["warnings"]
    assert any("infinite values" in warning and "'logs'" in warning for warning in warnings)


def test_a_tensor_that_never_changes_is_named(doctor: Any, tmp_path: Path) -> None:
    g = Graph()
    g.call("Relu", g.call("Sub", "image", g.constant(9.0)), output="dead")
    g.call("Add", "dead", "image", output="y")
    shape = ["n", 1, 12, 12]
    model = g.save(tmp_path / "m.onnx", [("image", F, shape)], [("y", F, shape)])
    figures = doctor(model, split(pictures(64), pictures(9, 1)))
    assert figures["constant"] == ["dead"]
    assert any("never change" in warning and "'dead'" in warning for warning in figures["warnings"])


@pytest.mark.parametrize("batch", [1, 5, 64, None])
def test_the_figures_do_not_depend_on_the_models_batch(
    batch: int | None, doctor: Any, tmp_path: Path
) -> None:
    g = Graph()
    x = g.call("Conv", "image", g.weight(4, 1, 3, 3), output="conv")
    g.call("Relu", x, output="y")
    first = batch or "n"
    ends = [("image", F, [first, 1, 12, 12])], [("y", F, [first, 4, 10, 10])]
    model = g.save(tmp_path / "m.onnx", *ends)
    figures = doctor(model, split(bright(200, 30), pictures(9, 1)), samples=60)
    low, high = 0, 6
    assert figures["ranges"]["looked_at"] == 200 and figures["ranges"]["given"] == 60
    seen = {tensor["tensor"]: tensor for tensor in figures["saturation"]["tensors"]}
    assert seen["image"]["seen"][0] == pytest.approx(low, abs=0.1)
    assert 4 < seen["image"]["seen"][1] <= high
    assert seen["image"]["range"][1] <= seen["image"]["seen"][1]


def test_fewer_rows_than_asked_for_and_more_than_are_looked_at(cnn: Model, doctor: Any) -> None:
    data = split(pictures(40), pictures(9, 1))
    assert doctor(cnn, data, samples=64)["samples"] == 40
    figures = doctor(cnn, split(pictures(100), pictures(9, 1)), samples=100, rows=50)
    assert figures["ranges"]["looked_at"] == 50 and figures["saturation"] is None


def test_samples_of_another_shape_are_refused(cnn: Model, doctor: Any) -> None:
    wrong = np.random.default_rng(0).random((64, 1, 9, 9), np.float32).cumsum(axis=2)
    with pytest.raises(
        StepError, match=r"shape \[64, 1, 9, 9\], expected image: float32\[n, 1, 12, 12\]"
    ):
        doctor(cnn, split(wrong.astype(np.float32)))


def test_a_run_shows_the_warnings_and_keeps_them(onnx_recipe: Path, tmp_path: Path) -> None:
    result = taxiway.load(onnx_recipe, ["optimize.quantize_static.calibration.samples=8"]).run(
        output=tmp_path / "runs", store=tmp_path / "store"
    )
    figures = result.calibration["calibration.quantize_static"]
    assert figures["samples"] == 8 and figures["leakage"]["split"] == "test"
    assert any("ranges" in warning for warning in figures["warnings"])
    screen = Console(width=100, record=True, file=io.StringIO())
    screen.print(summary(RunResult.read(result.folder)))
    shown = screen.export_text()
    assert "calibration samples" in shown and "8 samples of split calibration" in shown
    assert all(warning.split(":")[0] in " ".join(shown.split()) for warning in figures["warnings"])


def test_a_run_on_noise_ends_before_the_pass(onnx_recipe: Path, tmp_path: Path) -> None:
    path = onnx_recipe.parent / "blobs.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    random = np.random.default_rng(0)
    arrays["x_train"] = random.random(arrays["x_train"].shape, np.float32)
    np.savez(path, **arrays)
    overrides = ["optimize.quantize_static.calibration.samples=64"]
    where = {"output": tmp_path / "runs", "store": tmp_path / "store"}
    with pytest.raises(StepError, match="are random noise"):
        taxiway.load(onnx_recipe, overrides).run(**where)
    (folder,) = (tmp_path / "runs").glob("*/*")
    assert "optimize.quantize_static" not in [
        event["step"]
        for event in map(json.loads, (folder / "events.jsonl").open())
        if "step" in event
    ]
    overrides.append("calibration.allow_random=true")
    overrides += ["parity=null", "evaluate.gates.accuracy.max_drop=100 pt"]
    result = taxiway.load(onnx_recipe, overrides).run(**where)
    assert result.calibration["calibration.quantize_static"]["random"] is True
