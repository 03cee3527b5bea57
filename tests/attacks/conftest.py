"""A good recipe to spoil, and the command line in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"
GOOD = """\
defaults:
  - base
  - source: onnx
  - data: npz
  - optimize: [quantize_dynamic]
  - evaluate: classification
  - deploy: onnxruntime_bundle
  - _self_
name: mine
description: A recipe to spoil.
source:
  path: model.onnx
data:
  path: digits.npz
  inputs: x_test
  labels: y_test
  scale: 0.0625
evaluate:
  gates:
    size: {max: 2 MiB}
"""

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with GOOD as `mine.yaml` and what it reads; also the working folder."""
    where = tmp_path / "work"
    where.mkdir()
    (where / "mine.yaml").write_text(GOOD)
    shutil.copyfile(RECIPES / "data" / "digits.npz", where / "digits.npz")
    _classifier(where / "model.onnx")
    monkeypatch.chdir(where)
    monkeypatch.setenv("TAXIWAY_STORE", str(tmp_path / "store"))
    return where


def _classifier(path: Path) -> None:
    """Ten scores of an image of 8 x 8 x 1."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float32)
    nodes = [
        helper.make_node("Reshape", ["image", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 8, 8, 1])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 10])],
        [
            numpy_helper.from_array(np.array([-1, 64]), "shape"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path
    )


@pytest.fixture
def cli(folder: Path) -> Cli:
    """`cli("plan", "mine.yaml", AWS="...")`: the real command, with more environment."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "taxiway", *words],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            cwd=folder,
            timeout=300,
        )

    return run
