"""What is no model, or a broken one: one typed error each that says what it is and what to do."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
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
from taxiway.errors import TaxiwayError
from taxiway.model.formats import detect

FULL = os.environ.get("TAXIWAY_ATTACKS") == "full"
RECIPE = "defaults: [base, {{source: {source}}}, _self_]\nname: mine\nsource: {{path: {path}}}\n"


def onnx_bytes() -> bytes:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, [64])],
        [value("y", TensorProto.FLOAT, [64])],
        [numpy_helper.from_array(np.ones(64, np.float32), "w")],
    )
    return bytes(helper.make_model(graph).SerializeToString())


def tflite_bytes() -> bytes:
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.description = 3, [graph], "a" * 200
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def hdf5_bytes() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        content["w"] = np.ones((64, 64))
    return file.getvalue()


def zipped(*members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in members:
            archive.writestr(name, b"x" * 100)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.onnx"))
    return file.getvalue()


def message(*fields: tuple[int, int | bytes]) -> bytes:
    """A protobuf message."""
    out = b""
    for number, value in fields:
        key = number << 3 | (2 if isinstance(value, bytes) else 0)
        out += bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])
        out += bytes([value]) if isinstance(value, int) else bytes([len(value)]) + value
    return out


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4711\n"
CORE_ML = message((1, 7), (2, b"\x0a\x00"), (500, b""))
GRAPH_DEF = message((1, message((1, b"x"), (2, b"Placeholder"))), (4, b"\x08\x01"))
FILES: dict[str, tuple[str, bytes, str, str]] = {
    "empty": ("m.onnx", b"", "m.onnx is empty", "again"),
    "zeros": ("m.tflite", bytes(5000), "begins with 4096 zero bytes", "again"),
    "html": ("m.h5", b"\n<!DOCTYPE html><html>404", "is a web page", "address of the file"),
    "text": ("m.onnx", b"hello, world\n", "is a text file", "name the model file"),
    "git-lfs": ("m.onnx", LFS, "Git LFS pointer, the model itself (4711 bytes)", "git lfs pull"),
    "gzip": ("m.onnx", gzip.compress(onnx_bytes()), "is compressed (gzip)", "gunzip"),
    "tar": ("m.tar", tarred(), "is a tar archive", "tar xf m.tar"),
    "zip-of-a-model": ("m.zip", zipped("a/model.onnx"), "holds a/model.onnx", "unzip m.zip"),
    "zip": ("m.zip", zipped("readme.txt"), "zip archive of readme.txt", ""),
    "npz": ("m.npz", zipped("x.npy"), "archive of NumPy arrays", "data=npz"),
    "zip-cut": ("m.keras", zipped("config.json")[:-30], "damaged zip archive", "again"),
    "pickle": ("m.pkl", b"\x80\x04\x95\x00", "is a Python pickle", "export"),
    "pickle-of-protocol-0": (
        "m.pkl",
        b"cposix\nsystem\n(S'id'\ntR.",
        "is a Python pickle",
        "export",
    ),
    "joblib": ("m.joblib", b"\x78\x9c" + bytes(8), "a pickle", "export"),
    "torch-script": ("m.pt", zipped("m/data.pkl", "m/constants.pkl"), "PyTorch archive", "export"),
    "state-dict": ("m.pt", zipped("m/data.pkl", "m/data/0"), "PyTorch archive", "export"),
    "core-ml": ("m.mlmodel", CORE_ML, "Core ML model", "ONNX"),
    "openvino": ("m.xml", b'<?xml version="1.0"?>\n<net name="m">', "OpenVINO model", "ONNX"),
    "frozen-graph": ("m.pb", GRAPH_DEF, "frozen TensorFlow 1 graph", "tf2onnx.convert --graphdef"),
    "tf-checkpoint": ("m.ckpt.index", bytes(8) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", "", ""),
    "tf-checkpoint-data": (
        "m.ckpt.data-00000-of-00001",
        b"\x01\x02" * 9,
        "TensorFlow checkpoint",
        "model.export(folder)",
    ),
    "tfjs": ("model.json", b'{"modelTopology": {}}', "TensorFlow.js model", "it was made from"),
    "keras-json": (
        "model.json",
        json.dumps({"class_name": "Functional"}).encode(),
        "architecture without its weights",
        "model.save(",
    ),
    "safetensors": ("m.safetensors", b"\x02\0\0\0\0\0\0\0{}", "m.safetensors", ""),
    "gguf": ("m.gguf", b"GGUF\x03\0\0\0", "GGUF", "ONNX"),
    "ort": ("m.ort", b"\x1c\0\0\0ORTM", "ONNX Runtime's own format", ".onnx"),
    "saved-model-part": ("saved_model.pb", b"\x08\x01", "one part of a SavedModel", "its folder"),
    "noise": ("m.onnx", b"\x91\xfe\x03\x77" * 40, "no model that Taxiway knows", ""),
    "onnx-cut": ("m.onnx", onnx_bytes()[:-100], "ONNX model that was cut off", "again"),
    "onnx-cut-early": ("m.onnx", onnx_bytes()[:3], "m.onnx", ""),
}
BROKEN: dict[str, tuple[str, bytes, str]] = {
    "tflite-cut": ("m.tflite", tflite_bytes()[:-60], "no readable TFLite model"),
    "tflite-header": ("m.tflite", tflite_bytes()[:8], "no readable TFLite model"),
    "hdf5-cut": ("m.h5", hdf5_bytes()[:-2000], "no readable HDF5 file"),
    "hdf5-header": ("m.h5", hdf5_bytes()[:40], "no readable HDF5 file"),
    "keras-without-weights": ("m.keras", zipped("config.json", "metadata.json"), "is no JSON"),
}
SOURCES = {".onnx": "onnx", ".tflite": "tflite", ".h5": "keras", ".keras": "keras"}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("TAXIWAY_STORE", str(tmp_path / "store"))
    return tmp_path / "work"


def nothing_written(work: Path, given: set[Path]) -> None:
    store = Path(os.environ["TAXIWAY_STORE"])
    assert [*store.glob("steps/*/*"), *store.glob("tmp/*")] == []
    left = {path.name for path in set(work.rglob("*")) - given if path.is_file()}
    assert left <= {"events.jsonl", "worker.log"}


def said_by(work: Path, path: str, capfd: Any, run: bool = FULL) -> str:
    """What the commands say of an input, which must be one error of a known kind."""
    source = SOURCES.get(Path(path).suffix, "onnx")
    (work / "mine.yaml").write_text(RECIPE.format(source=source, path=path))
    given = set(work.rglob("*"))
    commands = [["init", path, "--output", "new.yaml"], *([["run", "mine.yaml"]] if run else [])]
    for command in commands:
        assert main(command) in (1, 5)
        out, err = capfd.readouterr()
        assert err.count("error: ") == 1 and "Traceback" not in out + err, err
        nothing_written(work, given)
    return str(err)


@pytest.mark.parametrize(("name", "data", "said", "hint"), FILES.values(), ids=FILES)
def test_other_files(work: Path, name: str, data: bytes, said: str, hint: str, capfd: Any) -> None:
    (work / name).write_bytes(data)
    err = said_by(work, name, capfd)
    assert name in err and said in err and hint in err


@pytest.mark.parametrize(("name", "data", "said"), BROKEN.values(), ids=BROKEN)
def test_broken_files(work: Path, name: str, data: bytes, said: str, capfd: Any) -> None:
    (work / name).write_bytes(data)
    assert said in said_by(work, name, capfd)


@pytest.mark.parametrize("name", ["onnx-cut", "git-lfs", "html"])
def test_through_a_run(work: Path, name: str, capfd: Any) -> None:
    file, data, said, hint = FILES[name]
    (work / file).write_bytes(data)
    err = said_by(work, file, capfd, run=True)
    assert said in err and hint in err


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("whole", [onnx_bytes, tflite_bytes, hdf5_bytes], ids=lambda f: f.__name__)
def test_truncated_anywhere(tmp_path: Path, whole: Callable[[], bytes], cut: float) -> None:
    from taxiway import safety

    data = whole()
    (tmp_path / "m.bin").write_bytes(data[: int(cut * len(data))])
    with pytest.raises(TaxiwayError, match=r"m\.bin"):
        safety.check(tmp_path / "m.bin", detect(tmp_path / "m.bin"))


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [("m.onnx", tflite_bytes(), "tflite"), ("m.tflite", onnx_bytes(), "onnx")],
    ids=["tflite-named-onnx", "onnx-named-tflite"],
)
def test_wrong_extension(work: Path, name: str, data: bytes, found: str, capfd: Any) -> None:
    (work / name).write_bytes(data)
    (work / "mine.yaml").write_text(RECIPE.format(source=SOURCES[Path(name).suffix], path=name))
    assert main(["run", "mine.yaml"]) == 1
    err = capfd.readouterr().err
    assert f"{name} is a model in format" in err and f"hint: source={found}" in err


def with_files(folder: Path, *names: str) -> None:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"x")


FOLDERS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "empty": ((), "it holds nothing", "name the folder that holds saved_model.pb"),
    "of-a-model": (("model.onnx", "w.bin"), "but holds model.onnx", "source.path="),
    "checkpoint": (("checkpoint", "m.index"), "TensorFlow checkpoint", "model.export(folder)"),
    "tfjs": (("model.json", "group1-shard1of1.bin"), "TensorFlow.js", "it was made from"),
    "core-ml": (("Manifest.json", "Data"), "Core ML package", "ONNX"),
}


@pytest.mark.parametrize(("names", "said", "hint"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder_instead_of_a_file(
    work: Path, names: tuple[str, ...], said: str, hint: str, capfd: Any
) -> None:
    with_files(work / "m", *names)
    err = said_by(work, "m", capfd)
    assert said in err and hint in err


def test_neither_file_nor_folder(work: Path, capfd: Any) -> None:
    os.mkfifo(work / "pipe")
    assert main(["init", "pipe", "--output", "new.yaml"]) == 1
    assert "pipe is neither a file nor a folder" in capfd.readouterr().err


def test_a_name_in_the_file_does_not_reach_the_terminal(work: Path, capfd: Any) -> None:
    model = onnx.load_from_string(onnx_bytes())
    model.graph.node[0].op_type = "\x1b[31mRed" + "x" * 5000
    (work / "m.onnx").write_bytes(model.SerializeToString())
    err = said_by(work, "m.onnx", capfd)
    assert "\x1b" not in err and "\\x1b[31mRed" in err and len(err) < 2000
