from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from taxiway.deploy.litert_bundle import LiteRTBundle
from taxiway.deploy.onnxruntime_bundle import OnnxRuntimeBundle
from taxiway.deploy.verify import verify
from taxiway.errors import SafetyError, StepError
from taxiway.model import Model, Signature
from taxiway.model.inspect import describe
from taxiway.plugins import Context, Dataset, Selection

FLOAT = TensorProto.FLOAT
CONFIG = OnnxRuntimeBundle.Config(name="m", golden_samples=3)


def value(name: str, shape: list[Any], dtype: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", str(folder / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def deploy(folder: Path, model: Model, data: Dataset | None) -> Path:
    folder.mkdir()
    OnnxRuntimeBundle().run(model, CONFIG, Context(workdir=folder, data=data))
    return folder


def test_what_is_in_a_bundle(bundle: Path, classifier: Model) -> None:
    assert {path.name for path in bundle.iterdir()} == {
        *("manifest.json", "model.onnx", "golden.npz", "run.py", "requirements.txt"),
        *("signature.json", "preprocessing.json", "labels.txt", "MODEL_CARD.md"),
    }
    assert (bundle / "model.onnx").read_bytes() == classifier.path.read_bytes()
    assert (bundle / "labels.txt").read_text().splitlines() == ["zero", "o|ne", "two"]
    assert json.loads((bundle / "preprocessing.json").read_text())["scale"] == 0.01
    assert (bundle / "requirements.txt").read_text().startswith("onnxruntime==")
    manifest = verify(bundle)
    assert (manifest["name"], manifest["format"]) == ("tiny", "onnx")
    with np.load(bundle / "golden.npz") as golden:
        assert golden["input_0"].shape == (5, 4)
        assert golden["output_0"].shape == (5, 3)


def test_equal_inputs_give_equal_bundles(
    tmp_path: Path, classifier: Model, samples: Dataset
) -> None:
    one = deploy(tmp_path / "one", classifier, samples)
    two = deploy(tmp_path / "two", classifier, samples)
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()


def test_the_example_checks_the_golden_samples(bundle: Path) -> None:
    done = run(bundle)
    assert (done.returncode, done.stdout) == (0, "p: 5 golden samples are bit-equal\n")


def test_the_example_classifies_raw_samples(bundle: Path, tmp_path: Path) -> None:
    raw = np.arange(8, dtype=np.uint8).reshape(2, 4)
    with np.load(bundle / "golden.npz") as golden:
        expected = golden["output_0"][:2]
    names = ["zero", "o|ne", "two"]
    np.save(tmp_path / "two.npy", raw)
    np.save(tmp_path / "one.npy", raw[1])
    lines = run(bundle, str(tmp_path / "two.npy")).stdout.splitlines()
    assert lines[0] == "sample 0:"
    assert lines[4] == "sample 1:"
    best = int(expected[1].argmax())
    assert lines[5] == f"  {expected[1][best]:.4f}  {names[best]}"
    assert run(bundle, str(tmp_path / "one.npy")).stdout.splitlines()[1:] == lines[5:]


def test_other_outputs_on_the_target_are_reported(bundle: Path) -> None:
    with np.load(bundle / "golden.npz") as found:
        golden = dict(found)
    golden["output_0"] = golden["output_0"] + np.float32(1e-5)
    np.savez(bundle / "golden.npz", **golden)
    done = run(bundle)
    assert done.returncode == 0
    assert "within the allowed" in done.stdout
    golden["output_0"] = golden["output_0"] + np.float32(1e-2)
    np.savez(bundle / "golden.npz", **golden)
    done = run(bundle)
    assert done.returncode == 1
    assert "MORE than the allowed" in done.stdout


def test_several_inputs_and_outputs_of_several_types(
    tmp_path: Path, save_onnx: Callable[..., Model], open_data: Callable[..., Dataset]
) -> None:
    nodes = [
        helper.make_node("Cast", ["ids"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["f", "wide"], ["sum"]),
        helper.make_node("ArgMax", ["sum"], ["best"], axis=1, keepdims=0),
    ]
    inputs = [value("ids", ["n", 1], TensorProto.INT64), value("wide", ["n", 5])]
    outputs = [value("sum", ["n", 5]), value("best", ["n"], TensorProto.INT64)]
    model = save_onnx(nodes, inputs, outputs)
    arrays = {"a": np.arange(6)[:, None], "b": np.random.default_rng(0).random((6, 5), np.float32)}
    data = open_data(arrays, inputs={"ids": "a", "wide": "b"}, dtype="keep")
    folder = deploy(tmp_path / "b", model, data)
    np.savez(tmp_path / "s.npz", ids=arrays["a"][2], wide=arrays["b"][2])
    assert f"best: {arrays['b'][2].argmax()}" in run(folder, str(tmp_path / "s.npz")).stdout
    np.savez(tmp_path / "s.npz", ids=arrays["a"][2], other=arrays["b"][2])
    assert "no array 'wide'" in run(folder, str(tmp_path / "s.npz")).stderr


@pytest.mark.parametrize(
    ("shape", "row", "batch"),
    [(["n", 4], (4,), 1), ([1, 4], (4,), 1), ([3, 4], (4,), 3), ([4], (4,), 0)],
    ids=["free batch", "batch of one", "batch of three", "no batch axis"],
)
def test_batch_axes(
    tmp_path: Path,
    save_onnx: Callable[..., Model],
    open_data: Callable[..., Dataset],
    shape: list,
    row: tuple[int, ...],
    batch: int,
) -> None:
    nodes = [helper.make_node("Neg", ["x"], ["y"])]
    model = save_onnx(nodes, [value("x", shape)], [value("y", shape)])
    data = open_data({"x": np.random.default_rng(0).random((7, *row), np.float32)})
    folder = deploy(tmp_path / "b", model, data)
    assert json.loads((folder / "signature.json").read_text())["batch"] == batch
    with np.load(folder / "golden.npz") as golden:
        np.testing.assert_array_equal(golden["output_0"], -golden["input_0"])
        np.save(tmp_path / "s.npy", golden["input_0"][0])
    assert "sample 0:" in run(folder, str(tmp_path / "s.npy")).stdout


def test_weights_in_another_file(tmp_path: Path, classifier: Model, samples: Dataset) -> None:
    proto = onnx.load(classifier.path)
    path = tmp_path / "split" / "m.onnx"
    path.parent.mkdir()
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    folder = deploy(tmp_path / "b", describe(path, "onnx"), samples)
    assert "weights.bin" in verify(folder)["files"]


@pytest.mark.parametrize("name", ["run.py", "signature.json"])
def test_weights_in_a_file_that_the_bundle_needs(
    tmp_path: Path, classifier: Model, samples: Dataset, name: str
) -> None:
    path = tmp_path / "split" / "m.onnx"
    path.parent.mkdir()
    proto = onnx.load(classifier.path)
    onnx.save(proto, path, save_as_external_data=True, location=name, size_threshold=0)
    with pytest.raises(StepError, match=f"'{name}'"):
        deploy(tmp_path / "b", describe(path, "onnx"), samples)


@pytest.mark.parametrize(
    ("format", "step", "hint"),
    [
        ("tflite", OnnxRuntimeBundle, "deploy=litert_bundle"),
        ("onnx", LiteRTBundle, "deploy=onnxruntime_bundle"),
        ("keras", LiteRTBundle, "convert=tflite"),
    ],
)
def test_another_format(tmp_path: Path, format: str, step: type, hint: str) -> None:
    model = Model(format=format, path=tmp_path, signature=Signature(inputs=(), outputs=()))
    with pytest.raises(StepError) as caught:
        step().run(model, step.Config(), Context(workdir=tmp_path))
    assert hint in str(caught.value.hint)


def test_no_samples(tmp_path: Path, classifier: Model, open_data: Callable[..., Dataset]) -> None:
    with pytest.raises(StepError, match="needs samples"):
        deploy(tmp_path / "b", classifier, None)
    empty = open_data({"x": np.ones((3, 4))}, splits={"test": {"rows": "3:"}})
    with pytest.raises(StepError, match="empty"):
        deploy(tmp_path / "c", classifier, empty)


def test_an_unsafe_model(tmp_path: Path, samples: Dataset) -> None:
    node = helper.make_node("Run", ["x"], ["y"], domain="evil")
    graph = helper.make_graph([node], "g", [value("x", ["n", 4])], [value("y", ["n", 4])])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("evil", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), tmp_path / "m.onnx")
    with pytest.raises(SafetyError, match="evil"):
        deploy(tmp_path / "b", describe(tmp_path / "m.onnx", "onnx"), samples)


def test_it_reads_unlabelled_test_rows() -> None:
    assert OnnxRuntimeBundle().reads(CONFIG) == (Selection("test", 3),)


@pytest.mark.parametrize("layout", ["nhwc", None])
def test_a_bundle_speaks_the_order_of_its_file(
    layout: Any,
    tmp_path: Path,
    save_onnx: Callable[..., Model],
    open_data: Callable[..., Dataset],
) -> None:
    from taxiway.convert.onnx import OnnxConfig
    from taxiway.convert.onnx_to_onnx import OnnxToOnnx

    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    weights = np.random.default_rng(0).normal(size=(2, 3, 3, 3))
    shapes = [["n", 3, 4, 5], ["n", 2, 4, 5]]
    source = save_onnx([node], [value("x", shapes[0])], [value("y", shapes[1])], w=weights)
    (tmp_path / "moved").mkdir()
    options = OnnxConfig(io_layout=layout)
    model = OnnxToOnnx().run(source, options, Context(tmp_path / "moved"))
    images = np.random.default_rng(1).normal(size=(3, 3, 4, 5)).astype("f4")
    folder = deploy(tmp_path / "bundle", model, open_data({"x": images}))
    golden = np.load(folder / "golden.npz")
    moved = images.transpose(0, 2, 3, 1) if layout else images
    assert np.array_equal(golden["input_0"], moved)
    assert golden["output_0"].shape == ((3, 4, 5, 2) if layout else (3, 2, 4, 5))
    done = run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
