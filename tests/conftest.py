"""Fixtures that several packages' tests share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ONNX_RECIPE = """\
defaults:
  - base
  - source: onnx
  - data: npz
  - optimize: [quantize_static]
  - evaluate: classification
  - deploy: onnxruntime_bundle
  - _self_
name: blobs_int8
description: Three blobs in eight dimensions.
source:
  path: blobs.onnx
data:
  path: blobs.npz
  class_names: [a, b, c]
  splits:
    calibration: {inputs: x_train, labels: y_train}
    test: {inputs: x_test, labels: y_test}
optimize:
  quantize_static:
    calibration: {samples: 32}
evaluate:
  samples: 64
  latency_samples: 5
  gates:
    accuracy: {max_drop: 20 pt}
"""


@pytest.fixture(scope="session")
def mlperf_tiny() -> Path:
    """The folder of the MLPerf Tiny reference models; skips where there is none."""
    default = Path(__file__).parents[2] / "shared" / "mlperf-tiny"
    folder = Path(os.environ.get("TAXIWAY_MLPERF_TINY", default))
    if not folder.is_dir():
        pytest.skip(f"no MLPerf Tiny models at {folder} (set TAXIWAY_MLPERF_TINY)")
    return folder


@pytest.fixture(scope="session")
def onnx_recipe_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe of five steps that needs no TensorFlow: an ONNX classifier of blobs to int8 and a bundle.

    Beside it lie blobs.onnx and blobs.npz, whose splits have 96 rows each; the recipe uses the
    first 32 to calibrate and the first 64 to measure.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder = tmp_path_factory.mktemp("recipe")
    random = np.random.default_rng(0)
    centers = random.normal(size=(3, 8)).astype(np.float32) * 2
    arrays = {}
    for split in ("train", "test"):
        labels = np.arange(96) % 3
        noise = random.normal(size=(96, 8)).astype(np.float32) / 2
        arrays |= {f"x_{split}": centers[labels] + noise, f"y_{split}": labels}
    np.savez(folder / "blobs.npz", **arrays)
    weights = [
        numpy_helper.from_array(np.eye(8, 8, dtype=np.float32), "hidden"),
        numpy_helper.from_array(centers.T.copy(), "centers"),
        numpy_helper.from_array(-(centers**2).sum(1) / 2, "bias"),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "hidden"], ["h"]),
        helper.make_node("MatMul", ["h", "centers"], ["distance"]),
        helper.make_node("Add", ["distance", "bias"], ["score"]),
        helper.make_node("Softmax", ["score"], ["probability"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "blobs",
        [value("x", TensorProto.FLOAT, ["n", 8])],
        [value("probability", TensorProto.FLOAT, ["n", 3])],
        weights,
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), folder / "blobs.onnx")
    recipe = folder / "blobs_int8.yaml"
    recipe.write_text(ONNX_RECIPE)
    return recipe


@pytest.fixture
def mlperf_variable(mlperf_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the recipes under mlperf_tiny/ take from the environment."""
    monkeypatch.setenv("TAXIWAY_MLPERF_TINY", str(mlperf_tiny))


@pytest.fixture
def onnx_recipe(onnx_recipe_files: Path, tmp_path: Path) -> Path:
    """A copy of that recipe that the test may change."""
    shutil.copytree(onnx_recipe_files.parent, tmp_path / "recipe")
    return tmp_path / "recipe" / onnx_recipe_files.name
