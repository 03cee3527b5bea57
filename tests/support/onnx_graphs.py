"""Small ONNX graphs as exporters write them, with something to simplify, to fuse or to move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from taxiway.model import Model
from taxiway.model.inspect import describe

OPSET = 17


class Graph:
    """Nodes and constants in the making; `call` gives the name of its output."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.random = np.random.default_rng(seed)

    def call(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"t{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op, [*inputs], [name], f"n{len(self.nodes)}", **attributes)
        )
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weight(self, *shape: int) -> str:
        return self.constant(self.random.normal(size=shape) / np.sqrt(shape[0]))

    def save(self, path: Path, inputs: Sequence[Any], outputs: Sequence[Any], **save: Any) -> Model:
        ends = [[helper.make_tensor_value_info(*end) for end in side] for side in (inputs, outputs)]
        graph = helper.make_graph(self.nodes, "g", *ends, self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        proto = helper.make_model(graph, opset_imports=opset, ir_version=9)
        onnx.save(proto, str(path), **save)
        return describe(path, "onnx")


F = TensorProto.FLOAT


def batchnorm_cnn(path: Path) -> Model:
    """Two convolutions with batch normalization over NHWC images, as tf2onnx leaves them."""
    g = Graph()
    x = g.call("Transpose", "image", perm=[0, 3, 1, 2])
    for channels, before in ((6, 3), (8, 6)):
        kernel = g.constant(g.random.normal(size=(channels, before, 3, 3)) / 5)
        x = g.call("Conv", x, kernel, g.weight(channels), pads=[1, 1, 1, 1])
        stats = [g.constant(np.abs(g.random.normal(size=channels)) + 0.5) for _ in range(4)]
        x = g.call("BatchNormalization", x, *stats)
        x = g.call("Relu", x)
        x = g.call("Transpose", g.call("Transpose", x, perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2])
    g.call("Transpose", x, output="map", perm=[0, 2, 3, 1])
    return g.save(path, [("image", F, ["n", 8, 8, 3])], [("map", F, ["n", 8, 8, 8])])


def untidy(path: Path) -> Model:
    """Dead ends, equal subexpressions, constants of constants; two inputs, one of them unused."""
    g = Graph()
    total = g.call("Add", g.constant(1.0), g.constant(2.0))
    left, right = (g.call("Mul", "a", total) for _ in range(2))
    g.call("Exp", "a")
    g.call("Add", left, g.call("Identity", right), output="y")
    g.call("Relu", "a", output="z")
    ends = [("a", F, ["rows", 4]), ("unused", F, ["rows", 2])]
    return g.save(path, ends, [("z", F, ["rows", 4]), ("y", F, ["rows", 4])])


def branches(path: Path) -> Model:
    """An If whose branches capture a weight of the graph around them."""
    g = Graph()
    weight = g.weight(4, 4)
    parts = {}
    for name, op in (("then_branch", "Relu"), ("else_branch", "Sigmoid")):
        nodes = [
            helper.make_node("MatMul", ["x", weight], [f"{name}_m"]),
            helper.make_node("Identity", [f"{name}_m"], [f"{name}_i"]),
            helper.make_node(op, [f"{name}_i"], [f"{name}_y"]),
        ]
        value = helper.make_tensor_value_info(f"{name}_y", F, ["n", 4])
        parts[name] = helper.make_graph(nodes, name, [], [value])
    g.call("If", "flag", output="y", **parts)
    ends = [("x", F, ["n", 4]), ("flag", TensorProto.BOOL, [])]
    return g.save(path, ends, [("y", F, ["n", 4])])


def encoder(path: Path, layers: int = 2, width: int = 16, heads: int = 4, **save: Any) -> Model:
    """A transformer encoder over float inputs as torch's older exporter wrote BERT."""
    g = Graph()
    x, head = "x", width // heads
    split = g.constant([0, 0, heads, head], np.int64)
    merged = g.constant([0, 0, width], np.int64)

    def dense(value: str, size: int, out: int) -> str:
        return g.call("Add", g.call("MatMul", value, g.weight(size, out)), g.weight(out))

    def normalized(value: str, output: str | None = None) -> str:
        scale = g.constant(1 + g.random.normal(size=width) / 10)
        return g.call("LayerNormalization", value, scale, g.weight(width), output=output, axis=-1)

    x = normalized(x)
    for layer in range(layers):
        q, k, v = (g.call("Reshape", dense(x, width, width), split) for _ in range(3))
        q, v = (g.call("Transpose", value, perm=[0, 2, 1, 3]) for value in (q, v))
        k = g.call("Transpose", k, perm=[0, 2, 3, 1])
        scores = g.call("Div", g.call("MatMul", q, k), g.constant(head**0.5))
        weights = g.call("Softmax", scores, axis=-1)
        context = g.call("Transpose", g.call("MatMul", weights, v), perm=[0, 2, 1, 3])
        attended = dense(g.call("Reshape", context, merged), width, width)
        x = normalized(g.call("Add", attended, x))
        hidden = dense(x, width, 4 * width)
        half = g.call("Div", hidden, g.constant(2**0.5))
        erf = g.call("Add", g.call("Erf", half), g.constant(1.0))
        gelu = g.call("Mul", g.call("Mul", hidden, erf), g.constant(0.5))
        last = "y" if layer + 1 == layers else None
        x = normalized(g.call("Add", dense(gelu, 4 * width, width), x), last)
    shape = ["batch", "length", width]
    return g.save(path, [("x", F, shape)], [("y", F, shape)], **save)


def external_encoder(path: Path) -> Model:
    """The encoder with its weights in another file."""
    return encoder(path, save_as_external_data=True, location="weights.bin", size_threshold=256)


MODELS: dict[str, Callable[[Path], Model]] = {
    "batchnorm cnn": batchnorm_cnn,
    "untidy": untidy,
    "branches": branches,
    "encoder": encoder,
    "external weights": external_encoder,
}
