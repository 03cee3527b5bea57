"""The attack cases S01 to S14, each through the whole command: refused, nothing run, nothing written.

Every payload is built here and would leave a marker file if it were run. What else each gate refuses
is in test_model_files.py, test_saved_models.py, test_onnx_graphs.py and test_tflite_files.py.
"""

from __future__ import annotations

import base64
import json
import marshal
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import h5py
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from taxiway.cli.main import main

FULL = os.environ.get("TAXIWAY_ATTACKS") == "full"
SECRET = "the-secret-in-a-local-file"
RECIPE = "defaults: [base, {{source: {source}}}, _self_]\nname: mine\nsource: {{path: {path}}}\n"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; `marker` in it must never appear."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("TAXIWAY_STORE", str(tmp_path / "store"))
    return tmp_path / "work"


def refused(work: Path, source: str, path: str, capfd: Any) -> str:
    """Run a recipe and `init` on it; gives what they said. Nothing may be stored or written."""
    (work / "mine.yaml").write_text(RECIPE.format(source=source, path=path))
    before = sorted(work.rglob("*"))
    assert main(["run", "mine.yaml"]) == 5
    if FULL:
        assert main(["init", path, "--output", "new.yaml"]) == 5
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    store = Path(os.environ["TAXIWAY_STORE"])
    assert [*store.glob("steps/*/*"), *store.glob("tmp/*")] == []
    left = set(work.rglob("*")) - set(before)
    assert {file.name for file in left if file.is_file()} <= {"events.jsonl", "worker.log"}
    assert not (work / "marker").exists()
    logs = "".join(file.read_text() for file in left if file.is_file())
    assert SECRET not in out + err + logs
    return str(err)


# --- Keras ----------------------------------------------------------------------------------------


def stored_code(marker: Path) -> list[Any]:
    """A Lambda's function as Keras 2 stores it."""
    code = compile(f"lambda x: open({str(marker)!r}, 'w').close() or x", "x", "eval").co_consts[0]
    return [base64.b64encode(marshal.dumps(code)).decode(), None, None]


def layer(name: str, module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"class_name": name, "module": module, "config": {"name": "evil", **config}}


def config(evil: dict[str, Any]) -> str:
    layers = [{"class_name": "InputLayer", "config": {"batch_shape": [None, 4]}}, evil]
    return json.dumps(
        {"class_name": "Sequential", "module": "keras", "config": {"name": "m", "layers": layers}}
    )


def keras_archive(path: Path, evil: dict[str, Any]) -> None:
    with h5py.File(path.with_suffix(".weights"), "w"):
        pass
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", config(evil))
        file.write(path.with_suffix(".weights"), "model.weights.h5")
    path.with_suffix(".weights").unlink()


def keras_h5(path: Path, evil: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = config(evil)
        file.create_group("model_weights")


KERAS: dict[str, tuple[str, Callable[[Path], dict[str, Any]], str]] = {
    "S03-tfkeras-h5-lambda": (
        "m.h5",
        lambda work: layer("Lambda", function=stored_code(work / "marker"), module="builtins"),
        "Lambda runs Python code stored in the file",
    ),
    "S04-keras-lambda": (
        "m.keras",
        lambda work: layer(
            "Lambda",
            function={
                "class_name": "__lambda__",
                "config": {"code": stored_code(work / "marker")[0]},
            },
        ),
        "source.trust=",
    ),
    "S05-keras-module-injection": (
        "m.keras",
        lambda work: layer("system", "os", command=f"touch {work / 'marker'}"),
        "os.system is outside the parts of Keras",
    ),
    "S05-keras-popen-function": (
        "m.h5",
        lambda work: {
            "class_name": "function",
            "module": "subprocess",
            "config": "Popen",
            "registered_name": "Popen",
        },
        "subprocess.Popen is outside",
    ),
    "S06-keras-vocab-file": (
        "m.keras",
        lambda work: layer("StringLookup", vocabulary=str(work.parent / "secret.txt")),
        "option 'vocabulary' of StringLookup reads a file outside the model",
    ),
    "S07-keras-tfsm": (
        "m.keras",
        lambda work: layer("TFSMLayer", filepath=str(work / "saved")),
        "TFSMLayer loads a SavedModel from a path",
    ),
}


@pytest.mark.parametrize(("name", "evil", "said"), KERAS.values(), ids=KERAS)
def test_keras(
    work: Path, name: str, evil: Callable[[Path], dict[str, Any]], said: str, capfd: Any
) -> None:
    (work.parent / "secret.txt").write_text(SECRET)
    build = keras_archive if name.endswith(".keras") else keras_h5
    build(work / name, evil(work))
    assert said in refused(work, "keras", name, capfd)


SHAPE_BOMBS = {
    "external-link": lambda file: file.__setitem__("k", h5py.ExternalLink("/etc/passwd", "/x")),
    "external-storage": lambda file: file.create_dataset(
        "k", (64,), "u1", external=[("/etc/passwd", 0, 64)]
    ),
    "shape-bomb": lambda file: file.create_dataset(
        "k", (2**20, 2**20), "f4", chunks=(64, 64), compression="gzip"
    ),
}
MEASURE = """\
import pathlib, sys
from taxiway import errors, safety
try: safety.check(pathlib.Path(sys.argv[1]), "keras")
except errors.SafetyError as error: print(error.render())
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def heap_bomb(path: Path) -> None:
    """The heap that holds the config claims four gigabytes, which HDF5 would allocate and fill."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<Q", data, data.index(b"GCOL") + 8, 2**32)
    path.write_bytes(data)


@pytest.mark.parametrize("attack", [*SHAPE_BOMBS, "heap-bomb"])
def test_s08_hdf5(work: Path, attack: str) -> None:
    """Refused within 500 MB: in a process of its own, so that the peak is the gate's alone."""
    keras_h5(work / "m.h5", layer("Dense", units=1))
    if attack == "heap-bomb":
        heap_bomb(work / "m.h5")
    else:
        with h5py.File(work / "m.h5", "a") as file:
            SHAPE_BOMBS[attack](file)
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, "m.h5"], capture_output=True, text=True, timeout=60
    )
    assert "m.h5 is refused" in result.stdout, result.stderr
    assert "root:" not in result.stdout + result.stderr
    assert int(result.stdout.split()[-2]) * 1024 < 500 * 10**6


# --- SavedModel: messages written on the wire ------------------------------------------------------


def field(number: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    assert len(data) < 2**14
    length = (
        bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
    )
    return bytes([number << 3 | 2]) + length + data


def saved_model(folder: Path, function: str, op: str, call: str = "") -> None:
    node = field(1, "n") + field(2, op)
    called = field(1, "c") + field(2, "PartitionedCall")
    called += field(5, field(1, "f") + field(2, field(10, field(1, function))))
    library = field(1, field(1, field(1, function)) + field(3, node))
    if call:
        library += field(1, field(1, field(1, call)) + field(3, called))
    meta = field(1, field(4, "serve")) + field(2, field(1, called) + field(2, library))
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(field(2, meta))


@pytest.mark.parametrize(
    ("function", "op", "call"),
    [
        ("initializer", "WriteFile", ""),
        ("serve", "ReadFile", ""),
        ("inner", "MatchingFiles", "outer"),
    ],
    ids=["S01-savedmodel-init-write", "S02-savedmodel-read", "S02-savedmodel-nested"],
)
def test_saved_model(work: Path, function: str, op: str, call: str, capfd: Any) -> None:
    saved_model(work / "m", function, op, call)
    said = refused(work, "saved_model", "m", capfd)
    assert f"op {op} (node 'n' in function {function}) reads or writes files" in said


# --- ONNX -----------------------------------------------------------------------------------------


def onnx_model(path: Path, location: str) -> None:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, [4])],
        [value("y", TensorProto.FLOAT, [4])],
        [weight],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)


@pytest.mark.parametrize("location", ["../secret.bin", "{outside}", "a/../../secret.bin"])
def test_s09_onnx_external_path(work: Path, location: str, capfd: Any) -> None:
    (work.parent / "secret.bin").write_bytes(SECRET.encode())
    onnx_model(work / "m.onnx", location.format(outside=work.parent / "secret.bin"))
    assert "is no plain name of a file beside the model" in refused(work, "onnx", "m.onnx", capfd)


@pytest.mark.parametrize("make", [os.symlink, os.link], ids=["symlink", "hard-link"])
def test_s10_onnx_links(work: Path, make: Callable[..., None], capfd: Any) -> None:
    (work.parent / "secret.bin").write_bytes(SECRET.encode())
    make(work.parent / "secret.bin", work / "w.bin")
    onnx_model(work / "m.onnx", "w.bin")
    assert "link" in refused(work, "onnx", "m.onnx", capfd)


def test_s10_onnx_linked_folder(work: Path, capfd: Any) -> None:
    (work.parent / "outside").mkdir()
    (work.parent / "outside/w.bin").write_bytes(SECRET.encode())
    (work / "sub").symlink_to(work.parent / "outside")
    onnx_model(work / "m.onnx", "sub/w.bin")
    assert "is no plain name" in refused(work, "onnx", "m.onnx", capfd)


# --- TFLite and pickles ---------------------------------------------------------------------------


def test_s13_tflite_flex(work: Path, capfd: Any) -> None:
    def code(name: str) -> schema.OperatorCodeT:
        built = schema.OperatorCodeT()
        built.builtinCode = schema.BuiltinOperator.CUSTOM
        built.deprecatedBuiltinCode, built.customCode = built.builtinCode, name.encode()
        return built

    model = schema.ModelT()
    model.version, model.subgraphs = 3, [schema.SubGraphT()]
    model.operatorCodes = [code("FlexReadFile"), code("FlexAsString")]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    (work / "m.tflite").write_bytes(bytes(builder.Output()))
    said = refused(work, "tflite", "m.tflite", capfd)
    assert said.index("op FlexAsString needs TensorFlow") < said.index("op FlexReadFile needs")


class Explodes:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def pickled(path: Path, evil: object) -> None:
    path.write_bytes(pickle.dumps(evil))


def torch_archive(path: Path, evil: object) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(evil))


def joblib_file(path: Path, evil: object) -> None:
    import zlib

    path.write_bytes(zlib.compress(pickle.dumps(evil)))


@pytest.mark.parametrize(
    ("name", "build"),
    [("m.pkl", pickled), ("m.pt", torch_archive), ("m.joblib", joblib_file)],
    ids=["S14-pkl", "S14-pt", "S14-joblib"],
)
def test_s14_pickles(
    work: Path, name: str, build: Callable[[Path, object], None], capfd: Any
) -> None:
    build(work / name, Explodes(work / "marker"))
    assert "pickle, which runs code when it is loaded" in refused(work, "onnx", name, capfd)


def test_s14_object_array(work: Path, capfd: Any) -> None:
    """An .npy is no model at all; as data it is refused in tests/unit/data."""
    np.save(work / "m.npy", np.array([Explodes(work / "marker")], dtype=object), allow_pickle=True)
    (work / "mine.yaml").write_text(RECIPE.format(source="onnx", path="m.npy"))
    assert main(["run", "mine.yaml"]) == 1
    assert "m.npy is a NumPy array, no model" in capfd.readouterr().err
    assert not (work / "marker").exists()


# --- Models that run away -------------------------------------------------------------------------

RUNAWAY = """\
defaults: [base, {source: onnx}, {data: npz}, {evaluate: classification}, _self_]
name: mine
limits: {time: 4 s, memory: 4 GiB}
source: {path: m.onnx}
data: {path: d.npz, inputs: x, labels: y}
"""


def classifier(path: Path, nodes: list[Any], constants: list[Any]) -> None:
    """Two scores of four numbers; the nodes turn `linear` into `scores`."""
    value = helper.make_tensor_value_info
    weights = numpy_helper.from_array(np.ones((4, 2), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["linear"]), *nodes],
        "g",
        [value("x", TensorProto.FLOAT, ["n", 4])],
        [value("scores", TensorProto.FLOAT, ["n", 2])],
        [weights, *constants],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    np.savez(path.with_name("d.npz"), x=np.zeros((8, 4), np.float32), y=np.arange(8) % 2)
    path.with_name("mine.yaml").write_text(RUNAWAY)


def endless_loop(path: Path) -> None:
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["still_on"]),
            helper.make_node("Identity", ["a"], ["b"]),
        ],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("on", TensorProto.BOOL, []),
            value("a", TensorProto.FLOAT, None),
        ],
        [value("still_on", TensorProto.BOOL, []), value("b", TensorProto.FLOAT, None)],
    )
    loop = helper.make_node("Loop", ["", "true", "linear"], ["scores"], body=body)
    classifier(path, [loop], [numpy_helper.from_array(np.array(True), "true")])


def four_terabytes(path: Path) -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["linear", "sum"], ["scores"]),
    ]
    classifier(path, nodes, [numpy_helper.from_array(np.array([2**20, 2**20]), "shape")])


def resident() -> int:
    """Bytes of this process's highest resident memory."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if "VmHWM" in line).split()[1]) * 1024


def workers() -> set[int]:
    """Worker processes below this one."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (endless_loop, "evaluate.source gave no result within 4 s"),
        (four_terabytes, "out of memory"),
    ],
    ids=["S11-onnx-infinite-loop", "S12-onnx-allocation-bomb"],
)
def test_a_runaway_model_is_stopped(
    work: Path, build: Callable[[Path], None], said: str, capfd: Any
) -> None:
    build(work / "m.onnx")
    before, running = resident(), workers()
    assert main(["run", "mine.yaml"]) == 1
    err = capfd.readouterr().err
    assert said in err and "hint: " in err and "Traceback" not in err
    assert resident() - before < 50 * 2**20
    assert workers() <= running
    assert list(Path(os.environ["TAXIWAY_STORE"]).glob("tmp/*")) == []
