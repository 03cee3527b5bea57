"""ONNX and TFLite models: convolutional, recurrent, control flow, strings, int8."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from matrix.models import Specimen, normal, texts


def _save(
    folder: Path, nodes: list[Any], inputs: Any, outputs: Any, weights: dict[str, Any]
) -> Path:
    import onnx
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), folder / "model.onnx")
    return folder / "model.onnx"


def _random(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32) / 3


def _cnn(folder: Path) -> Path:
    from onnx import TensorProto, helper

    node = helper.make_node
    nodes = [
        node(
            "Conv", ["x", "w", "b"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]
        ),
        node("Relu", ["c"], ["r"]),
        node("Conv", ["r", "d"], ["e"], kernel_shape=[3, 3], group=8),
        node("GlobalAveragePool", ["e"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "g", "h"], ["s"], transB=1),
        node("Softmax", ["s"], ["scores"]),
    ]
    weights = {"w": _random(8, 3, 3, 3), "b": _random(8), "d": _random(8, 1, 3, 3)}
    weights |= {"g": _random(5, 8), "h": _random(5)}
    value = TensorProto.FLOAT
    shapes = [("x", value, ["batch", 3, 16, 16])], [("scores", value, ["batch", 5])]
    return _save(folder, nodes, *shapes, weights)


def _recurrent(folder: Path) -> Path:
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "w", "r", "b"], ["", "h"], hidden_size=6),
        helper.make_node("Squeeze", ["h", "axis"], ["state"]),
    ]
    weights = {"w": _random(1, 24, 4), "r": _random(1, 24, 6), "b": _random(1, 48)}
    weights["axis"] = np.array([0])
    value = TensorProto.FLOAT
    shapes = [("x", value, ["batch", 10, 4])], [("state", value, ["batch", 6])]
    return _save(folder, nodes, *shapes, weights)


def _branches(folder: Path) -> Path:
    """An If whose branch depends on the samples."""
    from onnx import TensorProto, helper

    value = TensorProto.FLOAT
    out = [helper.make_tensor_value_info("o", value, ["batch", 4])]
    branches = [
        helper.make_graph([helper.make_node(op, ["x"], ["o"])], op, [], out)
        for op in ("Relu", "Neg")
    ]
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Greater", ["m", "zero"], ["c"]),
        helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    shapes = [("x", value, ["batch", 4])], [("y", value, ["batch", 4])]
    return _save(folder, nodes, *shapes, {"zero": np.float32(0)})


def _strings(folder: Path) -> Path:
    from onnx import TensorProto, helper

    encode = helper.make_node(
        "LabelEncoder",
        ["x"],
        ["label"],
        domain="ai.onnx.ml",
        keys_strings=["red", "green", "blue"],
        values_int64s=[0, 1, 2],
    )
    shapes = [("x", TensorProto.STRING, ["batch", 1])], [("label", TensorProto.INT64, ["batch", 1])]
    return _save(folder, [encode], *shapes, {})


def _tflite(*passes: str) -> Any:
    """A TFLite model made by Taxiway from the digits classifier that is shipped."""

    def write(folder: Path) -> Path:
        import taxiway

        optimize = f"optimize=[{','.join(passes)}]"
        recipe = taxiway.load("digits_int8", [optimize, "evaluate=null", "deploy=null"])
        made = recipe.run(output=folder / "runs", store=folder / "store").artifact
        assert made is not None
        shutil.copyfile(made, folder / "model.tflite")
        return folder / "model.tflite"

    return write


def specimens() -> Iterator[Specimen]:
    yield Specimen("onnx", "convolutional", _cnn, normal(3, 16, 16), needs="onnx")
    yield Specimen("onnx", "recurrent", _recurrent, normal(10, 4), needs="onnx")
    yield Specimen("onnx", "control flow", _branches, normal(4), needs="onnx")
    yield Specimen("onnx", "text input", _strings, texts, needs="onnx")
    yield Specimen("tflite", "convolutional", _tflite(), normal(8, 8, 1))
    yield Specimen("tflite", "convolutional, int8", _tflite("quantize_static"), normal(8, 8, 1))
