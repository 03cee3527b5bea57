"""Every pass on a real ONNX classifier: what it changes, what it keeps, what it refuses."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe

CASES = [
    ("quantize_static", {}),
    ("quantize_static", {"granularity": "per_tensor"}),
    ("quantize_static", {"calibration": {"method": "entropy", "samples": 96}}),
    ("quantize_static", {"calibration": {"method": "percentile", "samples": 97}}),
    ("quantize_static", {"calibration": {"method": "distribution"}}),
    ("quantize_static", {"symmetric": True}),
    ("quantize_dynamic", {}),
    ("quantize_dynamic", {"granularity": "per_tensor"}),
    ("quantize_weights", {}),
    ("quantize_weights", {"bits": 4}),
    ("quantize_weights", {"bits": 4, "block": 16, "symmetric": False}),
    ("quantize_int16", {}),
    ("float16", {}),
]
NAMES = list(dict.fromkeys(name for name, _ in CASES))
IDS = [f"{name} {options or ''}" for name, options in CASES]


SCRIPT = """
import hashlib, sys
from pathlib import Path
import msgspec
from taxiway.data.npz import Npz
from taxiway.model.inspect import describe
from taxiway.plugins import Context, registry
name, model, data, workdir = sys.argv[1], *map(Path, sys.argv[2:])
options = {"path": str(data), "labels": None, "splits": {"calibration": {"rows": ":"}}}
dataset = Npz().open(msgspec.convert(options, Npz.Config), 0)
plugin = registry().get("optimize", name)
context = Context(workdir=workdir, data=dataset)
result = plugin.implementation("onnx").run(describe(model, "onnx"), plugin.step.Config(), context)
print(hashlib.sha256(result.path.read_bytes()).hexdigest())
"""


def ops(model: Model) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(model.path).graph.node)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_a_pass_keeps_the_accuracy_and_the_signature(
    name: str, options: dict[str, Any], onnx_mlp: Model, data: Any, optimize: Any, accuracy: Any
) -> None:
    result = optimize(onnx_mlp, name, data, **options)
    assert result.signature == onnx_mlp.signature
    assert result.size < onnx_mlp.size
    assert accuracy(result) == pytest.approx(accuracy(onnx_mlp), abs=0.015)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_a_pass_writes_the_same_bytes_again(
    name: str, options: dict[str, Any], onnx_mlp: Model, data: Any, optimize: Any
) -> None:
    first, second = (optimize(onnx_mlp, name, data, **options) for _ in range(2))
    assert first.path.read_bytes() == second.path.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_another_process_writes_the_same_bytes(
    name: str, onnx_mlp: Model, data: Any, optimize: Any, tmp_path: Path
) -> None:
    np.savez(tmp_path / "data.npz", x=data.inputs["pixels"])
    (tmp_path / "elsewhere").mkdir()
    paths = (onnx_mlp.path, tmp_path / "data.npz", tmp_path / "elsewhere")
    output = subprocess.run(
        [sys.executable, "-c", SCRIPT, name, *map(str, paths)],
        env={**os.environ, "PYTHONHASHSEED": "5"},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    here = optimize(onnx_mlp, name, data)
    assert output.split()[-1] == hashlib.sha256(here.path.read_bytes()).hexdigest()


def test_static_quantization_is_in_qdq_pairs(onnx_mlp: Model, data: Any, optimize: Any) -> None:
    found = ops(optimize(onnx_mlp, "quantize_static", data))
    assert found["QuantizeLinear"] >= 3
    assert found["DequantizeLinear"] > found["QuantizeLinear"]
    assert data.reads and sum(rows for _, rows in data.reads) == 256


def test_dynamic_quantization_multiplies_integers(
    onnx_mlp: Model, data: Any, optimize: Any
) -> None:
    assert ops(optimize(onnx_mlp, "quantize_dynamic"))["MatMulInteger"] == 2


def test_progress_is_told(onnx_mlp: Model, data: Any, optimize: Any) -> None:
    told: list[Any] = []
    optimize(onnx_mlp, "quantize_static", data, progress=lambda *args: told.append(args))
    assert told == [(done, 256, "samples") for done in range(32, 257, 32)]


@pytest.mark.parametrize("before", ["quantize_static", "quantize_dynamic", "quantize_weights"])
@pytest.mark.parametrize("name", NAMES[:-1])
def test_a_quantized_model_is_refused(
    name: str, before: str, onnx_mlp: Model, data: Any, optimize: Any
) -> None:
    quantized = optimize(onnx_mlp, before, data)
    with pytest.raises(StepError, match="quantized already"):
        optimize(quantized, name, data)


@pytest.mark.parametrize("name", ["quantize_dynamic", "quantize_weights", "float16"])
def test_a_pass_that_changes_nothing_is_an_error(name: str, optimize: Any, tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])
    graph = helper.make_graph([helper.make_node("Sin", ["x"], ["y"])], "g", [x], [y])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "sin.onnx")
    with pytest.raises(StepError, match="nothing was quantized"):
        optimize(describe(tmp_path / "sin.onnx", "onnx"), name)


def test_integer_inputs_are_for_tflite(onnx_mlp: Model, data: Any, optimize: Any) -> None:
    with pytest.raises(ValueError, match="tflite only"):
        optimize(onnx_mlp, "quantize_static", data, io_dtype="int8")
