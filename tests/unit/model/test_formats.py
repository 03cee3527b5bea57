from __future__ import annotations

import zipfile
from pathlib import Path

import h5py
import pytest
from onnx import TensorProto, helper, save

from taxiway.errors import StepError
from taxiway.model.formats import detect


def onnx_file(path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [])
    save(helper.make_model(graph), str(path))


def keras_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", "{}")
        file.writestr("metadata.json", "{}")


def zipped(*names: str) -> object:
    def build(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as file:
            for name in names:
                file.writestr(name, "x")

    return build


def saved_model(path: Path) -> None:
    path.mkdir()
    (path / "saved_model.pb").touch()


@pytest.mark.parametrize(
    ("build", "format"),
    [
        (onnx_file, "onnx"),
        (keras_archive, "keras"),
        (lambda path: h5py.File(path, "w").close(), "keras"),
        (lambda path: path.write_bytes(b"\x1c\0\0\0TFL3rest"), "tflite"),
        (saved_model, "saved_model"),
        (zipped("m/archive_format", "m/models/model.json"), "torch"),
        (zipped("schema.json", "1.npy"), "sklearn"),
    ],
    ids=["onnx", "keras", "hdf5", "tflite", "saved_model", "torch", "sklearn"],
)
def test_content_decides(tmp_path: Path, build: object, format: str) -> None:
    path = tmp_path / "model.bin"
    build(path)  # type: ignore[operator]
    assert detect(path) == format


def plain_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "x")


@pytest.mark.parametrize(
    ("name", "build", "said"),
    [
        ("m.onnx", lambda path: path.write_bytes(b""), "is empty"),
        ("m.onnx", lambda path: path.write_text("hello, world"), "is a text file"),
        ("m.onnx", lambda path: None, "no model at"),
        ("m", lambda path: path.mkdir(), "it has no saved_model.pb"),
        ("m.keras", plain_zip, "zip archive of readme.txt"),
        ("m.pt2", zipped("serialized_exported_program.json"), "of torch 2.7 or older"),
        ("m.bin", lambda path: path.write_bytes(b"\x02" + bytes(7) + b"{}"), "weights alone"),
        ("m", lambda path: (path.mkdir(), (path / "config.json").touch()), "as transformers"),
        ("m.keras", lambda path: path.write_bytes(b"PK\x03\x04junk"), "damaged zip"),
        ("saved_model.pb", lambda path: path.write_bytes(b"\x08\x01"), "part of a SavedModel"),
    ],
    ids=["empty", "text", "missing", "folder", "zip", "pt2-2.7", "weights", "hf", "bad-zip", "pb"],
)
def test_says_what_was_found(tmp_path: Path, name: str, build: object, said: str) -> None:
    build(tmp_path / name)  # type: ignore[operator]
    with pytest.raises(StepError, match=said):
        detect(tmp_path / name)


def test_reference_models(mlperf_tiny: Path) -> None:
    assert detect(mlperf_tiny / "kws/saved_model") == "saved_model"
    assert detect(mlperf_tiny / "ic/resnet8.h5") == "keras"
    assert detect(mlperf_tiny / "kws/vendor_int8.tflite") == "tflite"
