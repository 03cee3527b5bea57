"""Mutated models of every format: a TaxiwayError or a pass, never another error, a hang or a blown memory.

Cut, flipped, overwritten, spliced and repeated bytes of real models, from a fixed seed. Mutants that
the gate lets through then go to the real loader in a worker: it may die, the parent may not.
"""

from __future__ import annotations

import io
import json
import os
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import flatbuffers
import h5py
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from taxiway import safety
from taxiway.errors import TaxiwayError
from taxiway.execute.limits import StepLimits
from taxiway.execute.worker import Worker
from taxiway.model.formats import detect

FULL = os.environ.get("TAXIWAY_ATTACKS") == "full"
MUTANTS = 5_000 if FULL else 300
LOADED = 100 if FULL else 6
GROWTH = 200 * 2**20
MAX_SIZE = 256 * 2**10
"""A larger reference model takes longer to write than to judge."""


def onnx_model() -> bytes:
    """A loop, a function and a convolution."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Add", ["a", "a"], ["b"]), helper.make_node("Identity", ["on"], ["on2"])],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("on", TensorProto.BOOL, []),
            value("a", TensorProto.FLOAT, None),
        ],
        [value("on2", TensorProto.BOOL, []), value("b", TensorProto.FLOAT, None)],
    )
    opset = helper.make_opsetid("", 18)
    square = helper.make_function(
        "own", "Square", ["a"], ["b"], [helper.make_node("Mul", ["a", "a"], ["b"])], [opset]
    )
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"]),
            helper.make_node("Square", ["c"], ["s"], domain="own"),
            helper.make_node("Loop", ["three", "", "s"], ["y"], body=body),
        ],
        "g",
        [value("x", TensorProto.FLOAT, [1, 2, 4, 4])],
        [value("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.ones((2, 2, 3, 3), np.float32), "w"),
            numpy_helper.from_array(np.array(3), "three"),
        ],
    )
    opsets = [opset, helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=[square], ir_version=10)
    return bytes(model.SerializeToString())


def tflite_model() -> bytes:
    """Two additions of a constant, with a signature."""

    def tensor(name: str, buffer: int) -> schema.TensorT:
        made = schema.TensorT()
        made.name, made.shape, made.buffer = name, [1, 4], buffer
        made.quantization = schema.QuantizationParametersT()
        return made

    def add(left: int, right: int, out: int) -> schema.OperatorT:
        made = schema.OperatorT()
        made.inputs, made.outputs, made.opcodeIndex = [left, right], [out], 0
        made.builtinOptionsType = schema.BuiltinOptions.AddOptions
        made.builtinOptions = schema.AddOptionsT()
        return made

    graph, code, constant = schema.SubGraphT(), schema.OperatorCodeT(), schema.BufferT()
    graph.tensors = [tensor("x", 0), tensor("w", 1), tensor("h", 0), tensor("y", 0)]
    graph.inputs, graph.outputs, graph.operators = [0], [3], [add(0, 1, 2), add(2, 1, 3)]
    code.version = 1
    constant.data = np.ones(4, np.float32).view(np.uint8)
    signature, given, made = schema.SignatureDefT(), schema.TensorMapT(), schema.TensorMapT()
    given.name, given.tensorIndex, made.name, made.tensorIndex = "x", 0, "y", 3
    signature.inputs, signature.outputs, signature.signatureKey = [given], [made], "serve"
    model = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    model.buffers, model.signatureDefs = [schema.BufferT(), constant], [signature]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


CONFIG = json.dumps(
    {
        "class_name": "Sequential",
        "config": {
            "name": "m",
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "name": "x"}},
                {"class_name": "Dense", "config": {"name": "d", "units": 2, "activation": "relu"}},
            ],
        },
    }
)


def hdf5_model() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        content.attrs["model_config"] = CONFIG
        content.create_dataset("model_weights/d/kernel", data=np.ones((4, 2), np.float32))
        content["model_weights"].attrs["layer_names"] = [b"x", b"d"]
    return file.getvalue()


def keras_archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", CONFIG)
        archive.writestr("model.weights.h5", hdf5_model())
    return file.getvalue()


def field(number: int, *values: bytes | str) -> bytes:
    datas = [value.encode() if isinstance(value, str) else value for value in values]
    return b"".join(
        bytes([number << 3 | 2, len(data) & 127 | 128, len(data) >> 7]) + data for data in datas
    )


def saved_model() -> bytes:
    node = field(1, "n") + field(2, "MatMul") + field(3, "a", "b")
    call = field(1, "c") + field(2, "PartitionedCall")
    call += field(5, field(1, "f") + field(2, field(10, field(1, "serve"))))
    constant = field(1, "k") + field(2, "Const")
    constant += field(5, field(1, "value") + field(2, field(8, field(8, "text"))))
    library = field(1, field(1, field(1, "serve")) + field(3, node, constant))
    objects = field(2, field(1, "serve"))
    return field(2, field(2, field(1, call, constant) + field(2, library)) + field(7, objects))


BUILT: dict[str, tuple[str, Callable[[], bytes]]] = {
    "onnx": ("m.onnx", onnx_model),
    "tflite": ("m.tflite", tflite_model),
    "h5": ("m.h5", hdf5_model),
    "keras": ("m.keras", keras_archive),
    "saved_model": ("m/saved_model.pb", saved_model),
}


def mutants(data: bytes, others: list[bytes], count: int) -> Iterator[bytes]:
    """Cuts, flips, overwritten words, splices of another model, holes and repetitions."""
    draw = random.Random(len(data))
    for _ in range(count):
        made, at = bytearray(data), draw.randrange(len(data))
        kind = draw.randrange(6)
        if kind == 0:
            del made[at:]
        elif kind == 1:
            for _ in range(draw.choice([1, 4, 32])):
                made[draw.randrange(len(made))] ^= 1 << draw.randrange(8)
        elif kind == 2:
            word = [b"\xff" * 4, bytes(4), b"\x80" * 4, b"\xff\xff\xff\x7f", draw.randbytes(4)]
            made[at : at + 4] = draw.choice(word)
        elif kind == 3:
            other = draw.choice(others)
            start = draw.randrange(len(other))
            made[at:at] = other[start : start + draw.randrange(1, 4096)]
        elif kind == 4:
            del made[at : at + draw.randrange(1, 64)]
        else:
            made[at:at] = made[at : at + draw.randrange(1, 256)] * draw.choice([1, 2, 50])
        yield bytes(made)


def resident() -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return int(line.split()[1]) * 1024


def judged(path: Path) -> bool:
    """Whether the gate lets a file through. Anything but a TaxiwayError escapes."""
    model = path.parent if path.name == "saved_model.pb" else path
    try:
        safety.check(model, detect(model))
    except TaxiwayError as error:
        assert model.name in error.message, error.message
        return False
    return True


@pytest.mark.parametrize(("name", "build"), BUILT.values(), ids=BUILT)
def test_mutants_of_built_models(tmp_path: Path, name: str, build: Callable[[], bytes]) -> None:
    path, data = tmp_path / name, build()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    assert judged(path), "the model itself must pass"
    others, before = [other() for _, other in BUILT.values()], resident()
    refused = 0
    for mutant in mutants(data, others, MUTANTS):
        path.write_bytes(mutant)
        refused += not judged(path)
    assert refused > MUTANTS / 4
    assert resident() - before < GROWTH


def test_mutants_of_reference_models(tmp_path: Path, mlperf_tiny: Path) -> None:
    files = [file for file in sorted(mlperf_tiny.rglob("*")) if file.is_file()]
    models = {
        file: file.read_bytes()
        for file in files
        if file.suffix in (".tflite", ".h5", ".pb") and (FULL or file.stat().st_size < MAX_SIZE)
        if file.name not in ("keras_metadata.pb", "fingerprint.pb")
    }
    assert models
    before = resident()
    for file, data in models.items():
        path = tmp_path / file.parent.name / file.name
        path.parent.mkdir(exist_ok=True)
        for mutant in mutants(data, list(models.values()), MUTANTS // 10):
            path.write_bytes(mutant)
            judged(path)
    assert resident() - before < GROWTH


@pytest.mark.parametrize("format", ["onnx", "tflite"])
def test_the_loader_may_die_and_the_parent_may_not(tmp_path: Path, format: str) -> None:
    name, build = BUILT[format]
    path, data = tmp_path / name, build()
    others = [other() for _, other in BUILT.values()]
    passed = []
    for mutant in mutants(data, others, 100 * LOADED):
        path.write_bytes(mutant)
        if judged(path):
            passed.append(mutant)
    limits = StepLimits(memory=8 * 2**30, seconds=20)
    with Worker(limits, tmp_path / "worker.log") as worker:
        for mutant in [data, *passed[:LOADED]]:
            path.write_bytes(mutant)
            task = {
                "name": "source",
                "section": "source",
                "plugin": format,
                "takes": None,
                "options": {"type": format, "path": str(path)},
                "workdir": str(tmp_path),
                "seed": 0,
            }
            (tmp_path / "work").mkdir(exist_ok=True)
            task["workdir"] = str(tmp_path / "work")
            try:
                answer = worker.run("source", task, lambda done, total, unit: None)
            except TaxiwayError:
                assert mutant is not data
                continue
            assert answer["model"]["format"] == format
