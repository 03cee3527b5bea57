"""Small ONNX models for the tests of conversions: written by hand, so that every op is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from taxiway.model import Model
from taxiway.model.inspect import describe

FLOAT = TensorProto.FLOAT


def save(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    opset: int = 17,
    **weights: Any,
) -> Model:
    """inputs, outputs: (name, element type, shape)."""
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        tensors,
    )
    domains = {node.domain for node in nodes} - {""}
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), path)
    return describe(path, "onnx")


def cnn(
    folder: Path, batch: int | str = "N", flat: Sequence[int] = (-1, 256), opset: int = 17
) -> Model:
    """Conv, Relu (an output), Reshape to `flat`, MatMul (an output)."""
    rng = np.random.default_rng(0)
    return save(
        folder / "cnn.onnx",
        [
            helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["r"], "relu"),
            helper.make_node("Reshape", ["r", "s"], ["f"], "flatten"),
            helper.make_node("MatMul", ["f", "k"], ["y"], "dense"),
        ],
        [("x", FLOAT, [batch, 3, 8, 8])],
        [("y", FLOAT, [batch, 5]), ("r", FLOAT, [batch, 4, 8, 8])],
        opset,
        w=rng.normal(size=(4, 3, 3, 3)).astype("f4"),
        s=np.array(flat, "i8"),
        k=rng.normal(size=(256, 5)).astype("f4"),
    )
