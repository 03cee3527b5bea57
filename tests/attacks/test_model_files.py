"""Hostile model files, built here at run time: each is refused by name, and no loader runs."""

from __future__ import annotations

import json
import os
import pickle
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
from ai_edge_litert import schema_py_generated as tflite
from onnx import TensorProto, helper

from taxiway import safety
from taxiway.errors import SafetyError
from taxiway.model.formats import detect

SECRET = "the-secret-in-a-local-file"


def keras_config(layer: dict[str, Any]) -> str:
    inner = {"name": "model", "layers": [{"class_name": "InputLayer", "config": {}}, layer]}
    return json.dumps({"class_name": "Functional", "module": "keras", "config": inner})


def archive(path: Path, layer: dict[str, Any], **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", keras_config(layer))
        for name, data in members.items():
            file.writestr(name.replace("__", "."), data)
    return path


def legacy(path: Path, layer: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = keras_config(layer)
    return path


LAMBDA = {"class_name": "Lambda", "config": {"name": "evil", "function": ["4wAAAA==", None, None]}}
KERAS = {
    "S04-lambda": (LAMBDA, "layer 'evil': Lambda"),
    "S04-nested": (
        {"class_name": "Bidirectional", "config": {"layer": {"class_name": "RNN", "cell": LAMBDA}}},
        "Lambda",
    ),
    "S04-lambda-value": ({"class_name": "__lambda__", "config": {"value": "4wAA"}}, "__lambda__"),
    "S05-os": ({"class_name": "system", "module": "os", "config": "id"}, "os.system"),
    "S05-popen": (
        {"class_name": "Popen", "module": "subprocess", "config": {"args": ["id"]}},
        "subprocess.Popen",
    ),
    "S05-function": (
        {"class_name": "function", "module": "keras.utils", "config": "get_file"},
        "keras.utils.get_file",
    ),
    "S05-lookalike": ({"class_name": "X", "module": "keras_evil", "config": {}}, "keras_evil.X"),
    "S05-builtins": ({"class_name": "eval", "module": "builtins", "config": "1"}, "builtins.eval"),
    "S07-tfsm": (
        {"class_name": "TFSMLayer", "module": "keras.layers", "config": {"filepath": "/tmp/x"}},
        "TFSMLayer",
    ),
    "S07-torch": ({"class_name": "TorchModuleWrapper", "config": {}}, "loads a pickle"),
    "tf-op-layer": ({"class_name": "TensorFlowOpLayer", "config": {}}, "any TensorFlow op"),
    "tf-function": (
        {"class_name": "TFOpLambda", "config": {"name": "w", "function": "io.write_file"}},
        "calls tf.io.write_file",
    ),
}


@pytest.mark.parametrize(("layer", "said"), KERAS.values(), ids=KERAS)
@pytest.mark.parametrize("build", [archive, legacy], ids=["keras", "h5"])
def test_keras_config(
    tmp_path: Path, build: Callable[..., Path], layer: dict[str, Any], said: str
) -> None:
    path = build(tmp_path / "m.x", layer)
    assert detect(path) == "keras"
    with pytest.raises(SafetyError) as caught:
        safety.check(path, "keras")
    assert said in caught.value.message
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("layer", ["StringLookup", "IntegerLookup", "TextVectorization"])
def test_s06_vocabulary_file(tmp_path: Path, layer: str) -> None:
    (tmp_path / "vocabulary.txt").write_text(SECRET)
    config = {"name": "v", "vocabulary": str(tmp_path / "vocabulary.txt")}
    path = archive(tmp_path / "m.keras", {"class_name": layer, "config": config})
    with pytest.raises(SafetyError, match="reads a file outside the model") as caught:
        safety.check(path, "keras")
    assert SECRET not in caught.value.render()


def test_config_bombs(tmp_path: Path) -> None:
    path = tmp_path / "deep.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", "[" * 200_000)
    with pytest.raises(SafetyError, match="nested too deeply"):
        safety.check(path, "keras")


def external_link(file: h5py.File) -> None:
    file["layer"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft_link(file: h5py.File) -> None:
    file["layer"] = h5py.SoftLink("/elsewhere")


def external_storage(file: h5py.File) -> None:
    file.create_dataset("kernel", (64,), "u1", external=[("/etc/passwd", 0, 64)])


def virtual_dataset(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((64,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (64,))
    file.create_virtual_dataset("kernel", layout)


def shape_bomb(file: h5py.File) -> None:
    file.create_dataset("kernel", (2**20, 2**20), "f4", chunks=(64, 64), compression="gzip")


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (external_link, "/layer is an external link"),
        (soft_link, "/layer is a soft link"),
        (external_storage, "external storage"),
        (virtual_dataset, "virtual dataset"),
        (shape_bomb, "claims 4398046511104 bytes and stores 0"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_s08_hdf5(tmp_path: Path, attack: Callable[[h5py.File], None], said: str) -> None:
    dense = {"class_name": "Dense", "config": {"name": "d", "units": 1}}
    path = legacy(tmp_path / "m.h5", dense)
    with h5py.File(path, "a") as file:
        attack(file)
    with pytest.raises(SafetyError, match="refused") as caught:
        safety.check(path, "keras")
    assert said in caught.value.message

    packed = archive(tmp_path / "m.keras", dense, model__weights__h5=path.read_bytes())
    with pytest.raises(SafetyError) as caught:
        safety.check(packed, "keras")
    assert "model.weights.h5: /" in caught.value.message
    assert said in caught.value.message


def test_hdf5_group_that_holds_itself(tmp_path: Path) -> None:
    path = legacy(tmp_path / "m.h5", {"class_name": "Dense", "config": {}})
    with h5py.File(path, "a") as file:
        file["loop"] = file["/"]
    safety.check(path, "keras")


def zip_with(path: Path, info: zipfile.ZipInfo, data: bytes = b"x", times: int = 1) -> Path:
    archive(path, {"class_name": "Dense", "config": {}})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        for _ in range(times):
            file.writestr(info, data, zipfile.ZIP_DEFLATED)
    return path


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("assets")
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("info", "data", "times", "said"),
    [
        (zipfile.ZipInfo("../x"), b"x", 1, "points outside"),
        (zipfile.ZipInfo("/etc/x"), b"x", 1, "points outside"),
        (zipfile.ZipInfo("CONFIG.json"), b"x", 1, "occurs 2 times"),
        (zipfile.ZipInfo("twice"), b"x", 2, "occurs 2 times"),
        (link(), b"/etc", 1, "is a link"),
        (zipfile.ZipInfo("bomb"), bytes(8 * 2**20), 1, "unpacks to 8388608 bytes"),
        (zipfile.ZipInfo("w.npz"), b"x", 1, "weights must be HDF5"),
    ],
    ids=["slip", "absolute", "case-fold", "duplicate", "symlink", "ratio", "npz"],
)
def test_keras_zip(
    tmp_path: Path, info: zipfile.ZipInfo, data: bytes, times: int, said: str
) -> None:
    with pytest.raises(SafetyError, match=said):
        safety.check(zip_with(tmp_path / "m.keras", info, data, times), "keras")


# --- ONNX -----------------------------------------------------------------------------------------


def onnx_file(path: Path, location: str | None = None, node: Any = None) -> Path:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4], np.ones(4, "f4").tobytes(), raw=True)
    if location is not None:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=location)
    graph = helper.make_graph(
        [node or helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])],
        [weight],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("evil", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), str(path))
    return path


@pytest.mark.parametrize(
    "location", ["../w.bin", "/etc/passwd", "a/../../b", "sub/w.bin", "..", "..\\w", "C:w", ""]
)
def test_s09_onnx_path(tmp_path: Path, location: str) -> None:
    path = onnx_file(tmp_path / "m.onnx", location)
    with pytest.raises(SafetyError, match="is no plain name of a file beside the model"):
        safety.check(path, "onnx")


def test_s09_in_subgraph_attribute(tmp_path: Path) -> None:
    inner = onnx.load(str(onnx_file(tmp_path / "i.onnx", "../w.bin")), load_external_data=False)
    node = helper.make_node("If", ["x"], ["y"], then_branch=inner.graph, else_branch=inner.graph)
    with pytest.raises(SafetyError, match=r"external data '\.\./w\.bin'"):
        safety.check(onnx_file(tmp_path / "m.onnx", node=node), "onnx")


@pytest.mark.parametrize(
    ("make", "said"),
    [(os.symlink, "is a link"), (os.link, "more than one hard link"), (None, "is missing")],
    ids=["symlink", "hard-link", "missing"],
)
def test_s10_onnx_links(tmp_path: Path, make: Callable[..., None] | None, said: str) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(bytes(16))
    (tmp_path / "model").mkdir()
    path = onnx_file(tmp_path / "model/m.onnx", "w.bin")
    if make:
        make(outside, tmp_path / "model/w.bin")
    with pytest.raises(SafetyError, match=said):
        safety.check(path, "onnx")


def test_onnx_external_data_beside_the_model_passes(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    safety.check(onnx_file(tmp_path / "m.onnx", "w.bin"), "onnx")


def test_onnx_foreign_domain(tmp_path: Path) -> None:
    node = helper.make_node("Run", ["x", "w"], ["y"], domain="evil")
    with pytest.raises(SafetyError, match="op Run of domain 'evil'"):
        safety.check(onnx_file(tmp_path / "m.onnx", node=node), "onnx")


# --- TFLite and pickles ---------------------------------------------------------------------------


def test_s13_flex(tmp_path: Path) -> None:
    def code(name: str) -> tflite.OperatorCodeT:
        built = tflite.OperatorCodeT()
        built.builtinCode, built.customCode = 32, name.encode()
        return built

    model = tflite.ModelT()
    model.version, model.operatorCodes = (
        3,
        [code("FlexReadFile"), code("Mine"), code("FlexAsString")],
    )
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "m.tflite"
    path.write_bytes(bytes(builder.Output()))
    with pytest.raises(SafetyError, match=r"FlexAsString[^\n]*\n[^\n]*FlexReadFile") as caught:
        safety.check(path, "tflite")
    assert "custom op Mine needs a library" in caught.value.message


@pytest.mark.parametrize("cut", [8, 12, 40])
def test_tflite_truncated(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes((b"\xff\xff\xff\x7fTFL3" + b"\xff" * 64)[:cut])
    with pytest.raises(SafetyError, match="no readable TFLite"):
        safety.check(path, "tflite")


class Explodes:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch exploded",)


def torch_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Explodes()))


def object_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([Explodes()], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda path: path.write_bytes(pickle.dumps(Explodes())), "Python pickle"),
        (torch_archive, "PyTorch archive"),
        (object_array, "NumPy array"),
    ],
    ids=["pkl", "pt", "npy"],
)
def test_s14_pickles(
    tmp_path: Path, build: Callable[[Path], None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build(tmp_path / "m")
    with pytest.raises(Exception, match=said):
        detect(tmp_path / "m")
    assert not (tmp_path / "exploded").exists()


def test_no_loader_is_imported(tmp_path: Path) -> None:
    """S03: the gates refuse with neither TensorFlow nor Keras in the process."""
    archive(tmp_path / "m.keras", LAMBDA)
    legacy(tmp_path / "m.h5", LAMBDA)
    program = (
        "import sys, pathlib\n"
        "from taxiway import errors, safety\n"
        "for path in sys.argv[1:]:\n"
        "    try: safety.check(pathlib.Path(path), 'keras')\n"
        "    except errors.SafetyError as error: print(error.render())\n"
        "print({'tensorflow', 'keras', 'tf_keras'} & set(sys.modules))\n"
    )
    files = [str(tmp_path / "m.keras"), str(tmp_path / "m.h5")]
    result = subprocess.run(
        [sys.executable, "-c", program, *files], capture_output=True, text=True, check=True
    )
    assert result.stdout.count("layer 'evil': Lambda") == 2
    assert result.stdout.strip().endswith("set()")


def test_reference_models_pass(mlperf_tiny: Path) -> None:
    paths = [
        *mlperf_tiny.glob("*/*.tflite"),
        *mlperf_tiny.glob("*/*.h5"),
        mlperf_tiny / "kws/saved_model",
    ]
    assert len(paths) == 7
    for path in paths:
        safety.check(path, detect(path))
