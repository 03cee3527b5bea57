from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import TensorProto, helper, save

from taxiway.errors import SafetyError, StepError
from taxiway.model import Model
from taxiway.plugins import Context, registry
from taxiway.source.admit import copy_file

SOURCES = sorted(registry().section("source"))


def bring_in(source: str, path: Path, workdir: Path, **options: str) -> Model:
    step = registry().get("source", source).step()
    workdir.mkdir()
    return step.run(step.Config(path=str(path), **options), Context(workdir=workdir))


def onnx_file(path: Path, external: str | None = None) -> Path:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4], np.ones(4, "f4").tobytes(), raw=True)
    if external:
        (path.parent / external).write_bytes(weight.raw_data)
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=external)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])],
        [weight],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.mark.parametrize("name", SOURCES)
def test_contract(name: str) -> None:
    step = registry().get("source", name).step
    assert step.section == "source" and step.libraries
    assert getattr(step, "produces", None) == {"huggingface": "torch"}.get(name, name)
    definitions = msgspec.json.schema(step.Config)["$defs"]
    schema = definitions[step.Config.__name__]
    assert schema["properties"]["path"]["format"] == "model-location"
    assert all(
        "description" in option for key, option in schema["properties"].items() if key != "type"
    )


def test_onnx_with_external_data(tmp_path: Path) -> None:
    from taxiway.model.runners import open_runner

    (tmp_path / "from").mkdir()
    path = onnx_file(tmp_path / "from/m.onnx", external="model.onnx")
    model = bring_in("onnx", path, tmp_path / "work")
    assert sorted(p.name for p in model.path.parent.iterdir()) == ["graph.onnx", "model.onnx"]
    assert open_runner(model).predict({"x": np.zeros((2, 4))})["y"].tolist() == [[1] * 4] * 2


def test_the_named_path_may_be_a_link(tmp_path: Path) -> None:
    onnx_file(tmp_path / "v3.onnx")
    (tmp_path / "latest.onnx").symlink_to("v3.onnx")
    model = bring_in("onnx", tmp_path / "latest.onnx", tmp_path / "work")
    assert model.path.is_file() and not model.path.is_symlink()


def test_tflite(tmp_path: Path, mlperf_tiny: Path) -> None:
    model = bring_in("tflite", mlperf_tiny / "ic/vendor_int8.tflite", tmp_path / "work")
    assert model.path.parent == tmp_path / "work"
    assert model.signature.inputs[0].quantized


@pytest.mark.parametrize(
    "source", [name for name in SOURCES if name not in ("onnx", "huggingface")]
)
def test_other_format(tmp_path: Path, source: str) -> None:
    path = onnx_file(tmp_path / "m.keras")
    with pytest.raises(StepError, match=r"m\.keras is a model in format ONNX") as caught:
        bring_in(source, path, tmp_path / "work")
    assert caught.value.hint == "source=onnx"


def test_gate_runs_first(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "m.onnx", external="w.bin")
    (tmp_path / "second").hardlink_to(tmp_path / "w.bin")
    with pytest.raises(SafetyError):
        bring_in("onnx", path, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_copy_of_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SafetyError, match="no regular file"):
        copy_file(tmp_path, tmp_path / "copy")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "name", "copied"),
    [
        ("keras", "vww/mobilenet_v1_025_96.h5", "model.h5"),
        ("saved_model", "kws/saved_model", "saved_model"),
    ],
)
def test_tensorflow(tmp_path: Path, mlperf_tiny: Path, source: str, name: str, copied: str) -> None:
    model = bring_in(source, mlperf_tiny / name, tmp_path / "work")
    assert model.path == tmp_path / "work" / copied
    assert model.signature.inputs[0].shape[0] == "batch"


@pytest.mark.slow
def test_a_chosen_signature_becomes_the_default(tmp_path: Path) -> None:
    import tensorflow as tf

    from taxiway.model.runners import open_runner

    module = tf.Module()
    module.scale = tf.Variable(3.0)
    spec = [tf.TensorSpec([None, 2], tf.float32, name="x")]
    once = tf.function(lambda x: {"once": x * module.scale}, input_signature=spec)
    twice = tf.function(lambda x: {"twice": 2 * x * module.scale}, input_signature=spec)
    module.once, module.twice = once, twice
    signatures = {"serving_default": once, "twice": twice}
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=signatures)
    model = bring_in("saved_model", tmp_path / "m", tmp_path / "work", signature="twice")
    assert open_runner(model).predict({"x": np.ones((1, 2))})["twice"].tolist() == [[6, 6]]
    with pytest.raises(StepError, match="no signature 'none'; it has: serving_default, twice"):
        bring_in("saved_model", tmp_path / "m", tmp_path / "other", signature="none")
