"""Fixtures that several packages' tests share."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Site

from taxiway.fetch.location import LOCALHOST

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


_RECURSION = sys.getrecursionlimit()


def pytest_runtest_setup() -> None:
    """onnx2tf takes the limit away when it is imported; tests of nested files need it."""
    sys.setrecursionlimit(_RECURSION)


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


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that `http://` locations may name, because this user allowed it."""
    monkeypatch.setenv(LOCALHOST, "1")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the user's pip settings name, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder
