"""Small ONNX models with what quantizers stumble over, built node by node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from taxiway.model import Model
from taxiway.model.inspect import describe

Array = np.ndarray[Any, Any]


class Graph:
    """Nodes and constants of one model; `weight` draws from a seeded normal distribution."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, values: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weight(self, name: str, *shape: int) -> str:
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        return self.constant(name, (self.random.normal(size=shape) * scale).astype(np.float32))

    def op(self, kind: str, inputs: list[str], output: str, name: str = "", **more: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name, **more))
        return output

    def save(
        self,
        path: Path,
        inputs: dict[str, list[Any]],
        outputs: dict[str, list[Any]],
        opset: int = 18,
    ) -> Model:
        """Write the model; integer inputs are those whose name begins with `ids`."""
        kinds = {True: TensorProto.INT64, False: TensorProto.FLOAT}
        given = [
            helper.make_tensor_value_info(name, kinds[name.startswith("ids")], shape)
            for name, shape in inputs.items()
        ]
        made = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ]
        graph = helper.make_graph(self.nodes, "graph", given, made, self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)
        return describe(path, "onnx")


def residual(path: Path, opset: int = 18) -> Model:
    """Convolutions with batch normalization, a depthwise one, a residual add, and two outputs."""
    g = Graph()

    def conv(x: str, name: str, shape: tuple[int, ...], group: int = 1) -> str:
        return g.op(
            "Conv", [x, g.weight(f"{name}_w", *shape)], name, name, pads=[1] * 4, group=group
        )

    conv("image", "stem", (8, 3, 3, 3))
    ones = g.random.uniform(0.5, 1.5, 8).astype(np.float32)
    g.op(
        "BatchNormalization",
        ["stem", g.constant("scale", ones), g.weight("shift", 8), *_moments(g, 8)],
        "norm",
        "norm",
    )
    g.op("Relu", ["norm"], "first")
    conv("first", "depthwise", (8, 1, 3, 3), group=8)
    g.op(
        "Clip",
        ["depthwise", g.constant("zero", np.float32(0)), g.constant("six", np.float32(6))],
        "c",
    )
    conv("c", "pointwise", (8, 8, 3, 3))
    g.op("Add", ["first", "pointwise"], "sum", "residual")
    g.op("GlobalAveragePool", ["sum"], "pooled", "pool")
    g.op("Flatten", ["pooled"], "flat")
    g.op(
        "Gemm",
        ["flat", g.weight("head_w", 32, 8), g.weight("head_b", 32)],
        "scores",
        "head",
        transB=1,
    )
    return g.save(
        path,
        {"image": ["batch", 3, 8, 8]},
        {"scores": ["batch", 32], "sum": ["batch", 8, 8, 8]},
        opset,
    )


def _moments(g: Graph, size: int) -> list[str]:
    mean = g.constant("mean", g.random.normal(size=size).astype(np.float32) * 0.1)
    return [mean, g.constant("variance", g.random.uniform(0.5, 2, size).astype(np.float32))]


def attention(path: Path, mask: float = -3.4e38) -> Model:
    """One head over embedded tokens, with a mask from a second input, and unnamed nodes."""
    g = Graph()
    g.op("Gather", [g.weight("table", 50, 32), "ids"], "x")
    for name in "qkv":
        g.op("MatMul", ["x", g.weight(f"{name}_w", 32, 32)], name)
    g.op("Transpose", ["k"], "kt", perm=[0, 2, 1])
    g.op("MatMul", ["q", "kt"], "scores")
    g.op("Sub", [g.constant("one", np.float32(1)), "seen"], "unseen")
    g.op("Mul", ["unseen", g.constant("far", np.float32(mask))], "far_off")
    g.op("Unsqueeze", ["far_off", g.constant("axes", np.array([1]))], "wide")
    g.op("Add", ["scores", "wide"], "masked")
    g.op("Softmax", ["masked"], "shares", axis=-1)
    g.op("MatMul", ["shares", "v"], "mixed")
    g.op("MatMul", ["mixed", g.weight("out_w", 32, 32)], "y")
    return g.save(path, {"ids": ["batch", 6], "seen": ["batch", 6]}, {"y": ["batch", 6, 32]})


def shared(path: Path) -> Model:
    """Two layers with one weight and one bias between them, whose name with a 2 is a value's."""
    g = Graph()
    g.weight("w", 16, 16)
    g.constant("b", g.random.normal(size=16).astype(np.float32))
    g.op("Gemm", ["x", "w", "b"], "b1", "first")
    g.op("Relu", ["b1"], "b2")
    g.op("Gemm", ["b2", "w", "b"], "y", "second")
    return g.save(path, {"x": ["batch", 16]}, {"y": ["batch", 16]})


def branching(path: Path) -> Model:
    """An If whose bodies read a value, a weight, and what comes before a Relu of the main graph."""
    g = Graph()
    g.op("Gemm", ["x", g.weight("w", 16, 16), g.weight("b", 16)], "h", "dense")
    g.op("Relu", ["h"], "r", "relu")
    g.op("ReduceSum", ["x"], "total", keepdims=0)
    g.op("Greater", ["total", g.constant("none", np.float32(0))], "positive")
    bodies = {}
    for name, source in (("then_branch", "h"), ("else_branch", "x")):
        made = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)
        node = helper.make_node("MatMul", [source, "w"], [f"{name}_y"], f"{name}_matmul")
        bodies[name] = helper.make_graph([node], name, [], [made])
    g.op("If", ["positive"], "chosen", "branch", **bodies)
    g.op("Add", ["r", "chosen"], "y", "sum")
    return g.save(path, {"x": ["batch", 16]}, {"y": ["batch", 16]})


def recurrent(path: Path) -> Model:
    """A bidirectional LSTM [steps, batch, 12], and a dense layer over its last states."""
    g = Graph()
    parts = [g.weight("W", 2, 64, 12), g.weight("R", 2, 64, 16), g.weight("B", 2, 128)]
    node = helper.make_node(
        "LSTM", ["x", *parts], ["", "last"], "lstm", hidden_size=16, direction="bidirectional"
    )
    g.nodes.append(node)
    g.op("Transpose", ["last"], "turned", perm=[1, 0, 2])
    g.op("Flatten", ["turned"], "flat")
    g.op("Gemm", ["flat", g.weight("w", 32, 16), g.weight("b", 16)], "y", "dense")
    return g.save(path, {"x": [5, 1, 12]}, {"y": [1, 16]})


SAMPLES: dict[Any, dict[str, Array]] = {
    residual: {"image": np.random.default_rng(1).normal(size=(40, 3, 8, 8)).astype(np.float32)},
    attention: {
        "ids": np.random.default_rng(1).integers(0, 50, (40, 6)),
        "seen": (np.random.default_rng(2).random((40, 6)) > 0.2).astype(np.float32),
    },
    shared: {"x": np.random.default_rng(1).normal(size=(40, 16)).astype(np.float32)},
    branching: {"x": np.random.default_rng(1).normal(size=(40, 16)).astype(np.float32)},
    recurrent: {"x": np.random.default_rng(1).normal(size=(40, 5, 1, 12)).astype(np.float32)},
}
"""Builder -> samples for its model."""
