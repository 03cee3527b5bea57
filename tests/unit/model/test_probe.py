from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.probe import probe


@pytest.fixture
def model(tmp_path: Path) -> Model:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
    )
    path = tmp_path / "m.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return describe(path, "onnx")


X = np.array([[-1, 0, 2], [3, -4, 5]], "f4")


def test_figures_and_outputs(model: Model, tmp_path: Path) -> None:
    ballast = bytearray(600 * 2**20)
    figures = probe(model, {"x": X}, tmp_path, runs=30, outputs=tmp_path / "out.npz")
    assert figures.latency_samples == 30
    assert 0 < figures.latency_p50 <= figures.latency_p95
    assert figures.load_time is not None and figures.load_time > 0
    assert 10 * 2**20 < figures.peak_memory < len(ballast), "the parent's memory is counted"
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["y"], np.maximum(X, 0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "out.npz"]


def test_adaptive_runs(model: Model, tmp_path: Path) -> None:
    assert probe(model, {"x": X}, tmp_path).latency_samples >= 20


def test_relative_paths(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = Path()
    probe(model, {"x": X}, here, runs=1, outputs=here / "out.npz")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["y"], np.maximum(X, 0))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"x": X[:, :2]}, r"exit code 1\):\n(.*\n)*.*expected x: float32\[batch, 3\]"),
        ({"x": X[:0]}, "no sample"),
    ],
    ids=["shape", "empty"],
)
def test_failure_carries_the_message(
    model: Model, tmp_path: Path, inputs: dict[str, np.ndarray], said: str
) -> None:
    with pytest.raises(StepError, match=said):
        probe(model, inputs, tmp_path)


def test_timeout(model: Model, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="took more than"):
        probe(model, {"x": X}, tmp_path, timeout=0.01)


def test_by_hand_without_tensorflow(model: Model, tmp_path: Path) -> None:
    """The command a bundle's own check uses: format and path are enough."""
    (tmp_path / "model.json").write_text(json.dumps({"format": "onnx", "path": str(model.path)}))
    np.savez(tmp_path / "x.npz", x=X)
    program = (
        "import runpy, sys\n"
        "try: runpy.run_module('taxiway.model.probe', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            program,
            str(tmp_path / "model.json"),
            str(tmp_path / "x.npz"),
            "--runs",
            "5",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    figures, imported = result.stdout.strip().splitlines()
    assert json.loads(figures)["latency_samples"] == 5
    assert imported == "[]"
