"""Composing, planning and running import no framework in the process of the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FRAMEWORKS = {
    *("tensorflow", "keras", "tf_keras", "torch", "onnx", "onnxruntime", "tf2onnx"),
    *("ai_edge_litert", "ai_edge_quantizer", "h5py"),
}
COMMAND = """
import contextlib, io, sys
from taxiway.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    code = main(sys.argv[1:])
"""
RUN = """
import sys
import taxiway
code = 0 if taxiway.load(sys.argv[1]).run(output="runs", store="store").metrics else 1
"""
TOLD = """
print(code, *{name.partition(".")[0] for name in sys.modules})
"""


def imported(program: str, words: list[str], folder: Path) -> set[str]:
    """Top-level modules in a process that ended well."""
    done = subprocess.run(
        [sys.executable, "-c", program + TOLD, *words],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    code, *modules = done.stdout.split()
    assert code == "0", done.stderr
    return set(modules)


@pytest.mark.parametrize(
    "words",
    [
        ["validate", "digits_int8"],
        ["validate", "--static", "digits_int8"],
        ["plan", "digits_int8", "--store", "store"],
        ["plan", "digits_onnx_int8", "--store", "store", "--json"],
        ["show", "digits_int8"],
        ["show", "digits_onnx_int8", "--origin"],
    ],
    ids=" ".join,
)
def test_commands_that_run_nothing(words: list[str], tmp_path: Path) -> None:
    modules = imported(COMMAND, words, tmp_path)
    assert "jsonschema" in modules
    assert not modules & FRAMEWORKS


@pytest.mark.slow
def test_a_run_leaves_frameworks_to_its_worker(tmp_path: Path) -> None:
    modules = imported(RUN, ["digits_int8"], tmp_path)
    assert "hydra" in modules
    assert not modules & FRAMEWORKS
    assert len(list(tmp_path.glob("runs/digits_int8/*/bundle/model.tflite"))) == 1
