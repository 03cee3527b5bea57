"""ONNX -> TFLite and SavedModel: names, dtypes, axes and numbers stay; what cannot stay is named."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.convert.tflite import TFLiteConfig
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.plugins import Context, Note, registry

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
GENERATOR = np.random.default_rng(3)


def value(name: str, shape: list[Any] | None, dtype: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def constant(name: str, *shape: int) -> Any:
    array = GENERATOR.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return numpy_helper.from_array(array.astype(np.float32), name)


def saved(
    folder: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], *constants: Any
) -> Model:
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(folder / "model.onnx"))
    return describe(folder / "model.onnx", "onnx")


def convert(
    model: Model, folder: Path, to: str = "tflite", notes: list[Note] | None = None, **options: Any
) -> Model:
    plugin = registry().get("converter", f"onnx_to_{to}")
    (folder / "work").mkdir()
    context = Context(workdir=folder / "work", note=(notes if notes is not None else []).append)
    result: Model = plugin.implementation("onnx").run(  # type: ignore[attr-defined]
        model, plugin.step.Config(**options), context
    )
    return result


def same(model: Model, result: Model, inputs: dict[str, Any], tolerance: float = 1e-5) -> None:
    wanted, found = (open_runner(m).predict(inputs) for m in (model, result))
    assert wanted.keys() == found.keys()
    for name, array in wanted.items():
        assert array.shape == found[name].shape and array.dtype == found[name].dtype
        scale = float(np.abs(array.astype(np.float64)).max()) or 1.0
        np.testing.assert_allclose(found[name], array, atol=tolerance * scale, rtol=0)


def noise(*shape: int) -> Any:
    return GENERATOR.standard_normal(shape).astype(np.float32)


def convolutional(folder: Path) -> Model:
    """Two 4-D inputs and a 4-D output, with the names that PyTorch writes, the later name first."""
    nodes = [
        helper.make_node("Conv", ["input.2", "w"], ["/a:0"], "/conv/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["/a:0"], ["b"], "/relu/Relu"),
        helper.make_node("Add", ["b", "input.1"], ["/sum:0"], "/Add"),
        helper.make_node("MaxPool", ["/sum:0"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["flat"]),
        helper.make_node("Gemm", ["flat", "v"], ["score"], transB=1),
    ]
    inputs = [value("input.2", ["n", 3, 8, 8]), value("input.1", ["n", 6, 8, 8])]
    outputs = [value("/sum:0", ["n", 6, 8, 8]), value("score", ["n", 4])]
    return saved(
        folder, nodes, inputs, outputs, constant("w", 6, 3, 3, 3), constant("v", 4, 6 * 16)
    )


@pytest.mark.slow
@pytest.mark.parametrize("batch", [None, 2], ids=["free batch", "fixed batch"])
def test_a_convolution_keeps_its_ends(batch: int | None, tmp_path: Path) -> None:
    model = convolutional(tmp_path)
    result = convert(model, tmp_path, batch=batch)
    assert {spec.name for spec in result.signature.inputs} == {"input.1", "input.2"}
    assert {spec.name for spec in result.signature.outputs} == {"/sum:0", "score"}
    for spec in result.signature.inputs:
        assert spec.shape[1:] == ((3, 8, 8) if spec.name == "input.2" else (6, 8, 8))
        assert spec.shape[0] == (batch or "batch")
    same(model, result, {"input.2": noise(4, 3, 8, 8), "input.1": noise(4, 6, 8, 8)})


@pytest.mark.slow
def test_nothing_is_fetched_run_printed_or_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An input of three channels last is where onnx2tf wants its images from the internet."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("touched the network, or started a program")

    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    model = saved(
        tmp_path, nodes, [value("x", [1, 8, 8, 3])], [value("y", None)], constant("w", 6, 3, 3, 3)
    )
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    result = convert(model, tmp_path)
    assert Path.cwd() == tmp_path / "here"
    assert not [*(tmp_path / "here").iterdir()]
    assert [file.name for file in (tmp_path / "work").iterdir()] == ["model.tflite"]
    assert capfd.readouterr().out == ""
    same(model, result, {"x": noise(1, 8, 8, 3)})


@pytest.mark.slow
def test_without_the_images_onnx2tf_would_fetch_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the test above would see it: the same model, given to onnx2tf as it is."""
    import onnx2tf

    asked: list[str] = []
    monkeypatch.setattr("requests.get", lambda url, **_: asked.append(url) or 1 / 0)
    monkeypatch.chdir(tmp_path)
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"], "relu")],
        "g",
        [value("x", [1, 8, 8, 3])],
        [value("y", [1, 8, 8, 3])],
    )
    with pytest.raises(ZeroDivisionError):
        onnx2tf.convert(
            onnx_graph=helper.make_model(graph),
            keep_shape_absolutely_input_names=["x"],
            not_use_onnxsim=True,
            not_use_opname_auto_generate=True,
            disable_model_save=True,
        )
    assert asked and all("calibration_image" in url for url in asked)


def attention(folder: Path) -> Model:
    """Token numbers in, batch and length free; no operator that moves channels."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"]),
        helper.make_node("MatMul", ["e", "q"], ["eq"]),
        helper.make_node("Transpose", ["e"], ["k"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["eq", "k"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "e"], ["mixed"]),
        helper.make_node("LayerNormalization", ["mixed", "s"], ["y"], axis=-1),
        helper.make_node("ReduceMean", ["y", "one"], ["mean"], keepdims=0),
    ]
    outputs = [value("y", ["n", "t", 8]), value("mean", ["n", 8])]
    axis = numpy_helper.from_array(np.array([1]), "one")
    return saved(
        folder,
        nodes,
        [value("ids", ["n", "t"], INT64)],
        outputs,
        constant("table", 20, 8),
        constant("q", 8, 8),
        constant("s", 8),
        axis,
    )


@pytest.mark.slow
@pytest.mark.parametrize("to", ["tflite", "saved_model"])
def test_free_axes_stay_free(to: str, tmp_path: Path) -> None:
    model = attention(tmp_path)
    result = convert(model, tmp_path, to)
    assert all(isinstance(axis, str) for axis in result.signature.inputs[0].shape)
    for shape in ((1, 5), (3, 9)):
        ids = GENERATOR.integers(0, 20, shape)
        same(model, result, {"ids": ids})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(TensorProto.FLOAT16, 2e-3), (TensorProto.DOUBLE, 1e-6)]
)
def test_other_reals_stay_at_the_ends_and_the_repair_is_noted(
    dtype: int, tolerance: float, tmp_path: Path
) -> None:
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    w = numpy_helper.from_array(noise(4, 4).astype(kind), "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Tanh", ["m"], ["y"]),
    ]
    model = saved(tmp_path, nodes, [value("x", ["n", 4], dtype)], [value("y", None, dtype)], w)
    notes: list[Note] = []
    result = convert(model, tmp_path, notes=notes)
    bits = {TensorProto.FLOAT16: "float16", TensorProto.DOUBLE: "float64"}[dtype]
    assert [note.repair for note in notes] == [f"{bits}_compute"]
    assert result.signature.inputs[0].dtype == result.signature.outputs[0].dtype == bits
    same(model, result, {"x": noise(2, 4).astype(kind)}, tolerance)


@pytest.mark.slow
def test_integers_booleans_a_scalar_and_an_input_passed_through(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "k"], ["scaled"]),
        helper.make_node("Where", ["mask", "scaled", "x"], ["y"]),
        helper.make_node("Cast", ["y"], ["n"], to=INT64),
        helper.make_node("Identity", ["mask"], ["same"]),
    ]
    inputs = [value("x", [2, 3]), value("k", []), value("mask", [2, 3], TensorProto.BOOL)]
    outputs = [
        value("y", [2, 3]),
        value("n", [2, 3], INT64),
        value("same", [2, 3], TensorProto.BOOL),
    ]
    model = saved(tmp_path, nodes, inputs, outputs)
    notes: list[Note] = []
    result = convert(model, tmp_path, notes=notes)
    assert [note.repair for note in notes] == ["scalar_input"]
    feed = {
        "x": noise(2, 3) * 9,
        "k": np.float32(1.5),
        "mask": np.array([[True, False, True], [False, True, True]]),
    }
    wanted, found = (open_runner(m).predict(feed) for m in (model, result))
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)


BRANCH = helper.make_graph([helper.make_node("Neg", ["x"], ["z"])], "b", [], [value("z", None)])
OTHER = helper.make_graph([helper.make_node("Abs", ["x"], ["z"])], "b", [], [value("z", None)])
SUM = helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0)
BOOL = helper.make_node("Cast", ["s"], ["c"], to=TensorProto.BOOL)
REFUSED: dict[str, tuple[list[Any], list[Any], list[Any], str]] = {
    "strings": (
        [helper.make_node("StringNormalizer", ["x"], ["y"])],
        [value("x", [2], STRING)],
        [value("y", [2], STRING)],
        "input 'x' holds string",
    ),
    "another domain": (
        [helper.make_node("FusedMatMul", ["x", "x"], ["y"], domain="com.microsoft")],
        [value("x", [2, 2])],
        [value("y", [2, 2])],
        "com.microsoft.FusedMatMul",
    ),
    "control flow": (
        [SUM, BOOL, helper.make_node("If", ["c"], ["y"], then_branch=BRANCH, else_branch=OTHER)],
        [value("x", [2])],
        [value("y", [2])],
        "If .1 nodes., whose condition is no constant",
    ),
    "no number of axes": (
        [helper.make_node("Relu", ["x"], ["y"])],
        [value("x", None)],
        [value("y", None)],
        "input 'x' does not say how many axes",
    ),
    "no converter": (
        [helper.make_node("Det", ["x"], ["d"]), helper.make_node("MaxRoiPool", ["x", "r"], ["y"],
                                                                pooled_shape=[1, 1])],
        [value("x", [1, 1, 4, 4]), value("r", [1, 5])],
        [value("y", None)],
        "MaxRoiPool .1 node.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "inputs", "outputs", "message"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_way_is_named_before_tensorflow_is_loaded(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], message: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnx2tf")
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.save(model, str(tmp_path / "model.onnx"))
    with pytest.raises(StepError, match=message) as caught:
        convert(describe(tmp_path / "model.onnx", "onnx"), tmp_path)
    assert caught.value.hint and "convert=onnx" in caught.value.hint


def test_a_branch_of_a_constant_condition_is_taken(tmp_path: Path) -> None:
    from taxiway.convert.from_onnx.prepare import prepare

    pytest.importorskip("onnx2tf")
    yes = numpy_helper.from_array(np.array(True), "c")
    node = helper.make_node("If", ["c"], ["y"], then_branch=BRANCH, else_branch=OTHER)
    model = saved(tmp_path, [node], [value("x", [2])], [value("y", [2])], yes)
    prepared = prepare(model, lambda note: None)
    assert [n.op_type for n in prepared.proto.graph.node] == ["Neg"]


@pytest.mark.slow
def test_an_operator_that_tflite_lacks_is_named_as_the_model_calls_it(tmp_path: Path) -> None:
    node = helper.make_node("BitShift", ["x", "x"], ["y"], "/shift/it", direction="LEFT")
    ends = [value(name, [3], TensorProto.UINT16) for name in "xy"]
    with pytest.raises(StepError, match=r"BitShift '/shift/it' on uint16"):
        convert(saved(tmp_path, [node], ends[:1], ends[1:]), tmp_path)


def test_the_options_are_those_of_the_target() -> None:
    assert registry().get("converter", "onnx_to_tflite").step.Config is TFLiteConfig
