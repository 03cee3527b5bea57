"""Two small ONNX models, a CNN and a transformer encoder, and faults planted into them by script.

Each fault changes one operator; it is known by that operator's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]


class Graph:
    """A graph under construction: each node is named, and gives a tensor of its name."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, name: str, value: Array) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def normal(self, name: str, *shape: int, scale: float = 1.0) -> str:
        value = scale * self.random.standard_normal(shape)
        return self.weight(name, value.astype(np.float32))

    def node(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [f"{name}_out"], name, **attributes))
        return f"{name}_out"

    def model(self, shape: list[Any], output: str, outputs: list[Any]) -> Any:
        graph = helper.make_graph(
            [*self.nodes, helper.make_node("Identity", [output], ["y"], "result")],
            "planted",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, outputs)],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
        model.ir_version = 10
        onnx.checker.check_model(model, full_check=True)
        return model


def cnn(seed: int = 3) -> Any:
    """Convolution, batch norm, a depthwise block with a shortcut, a crop, pooling, a classifier;
    the activations pass an 8-bit quantization once. Input x [n, 3, 18, 18]."""
    g = Graph(seed)

    def norm(name: str, x: str, channels: int) -> str:
        low = g.random.uniform(0.5, 1.5, channels).astype(np.float32)
        var = g.random.uniform(0.02, 0.5, channels).astype(np.float32)
        return g.node(
            "BatchNormalization", name, x, g.weight(f"{name}_gamma", low),
            g.normal(f"{name}_beta", channels), g.normal(f"{name}_mean", channels, scale=0.3),
            g.weight(f"{name}_var", var), epsilon=1e-3,
        )  # fmt: skip

    x = g.node("Conv", "stem", "x", g.normal("stem_w", 8, 3, 3, 3, scale=0.3),
               g.normal("stem_b", 8, scale=0.2), pads=[1, 1, 1, 1])  # fmt: skip
    x = g.node("Relu", "stem_relu", norm("stem_bn", x, 8))
    short = x
    x = g.node("Conv", "depthwise", x, g.normal("depthwise_w", 8, 1, 3, 3, scale=0.4),
               group=8, pads=[1, 1, 1, 1])  # fmt: skip
    x = g.node("HardSwish", "depthwise_act", norm("depthwise_bn", x, 8))
    x = g.node("Conv", "pointwise", x, g.normal("pointwise_w", 8, 8, 1, 1, scale=0.4),
               g.normal("pointwise_b", 8, scale=0.2))  # fmt: skip
    x = g.node("Add", "shortcut", x, short)
    g.weight("q_scale", np.float32(0.08))
    g.weight("q_zero", np.uint8(100))
    x = g.node("QuantizeLinear", "quantize", x, "q_scale", "q_zero")
    x = g.node("DequantizeLinear", "dequantize", x, "q_scale", "q_zero")
    g.weight("crop_start", np.array([1, 1]))
    g.weight("crop_end", np.array([17, 17]))
    g.weight("crop_axes", np.array([2, 3]))
    x = g.node("Slice", "crop", x, "crop_start", "crop_end", "crop_axes")
    x = g.node("MaxPool", "pool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("Conv", "mix", x, g.normal("mix_w", 8, 8, 3, 3, scale=0.15),
               g.normal("mix_b", 8, scale=0.2), pads=[1, 1, 1, 1])  # fmt: skip
    x = g.node("Relu", "mix_relu", x)
    g.weight("eight", np.float32(8))
    x = g.node("Mul", "scale_up", x, "eight")
    x = g.node("Round", "round", x)
    x = g.node("Div", "scale_down", x, "eight")
    g.weight("space", np.array([2, 3]))
    x = g.node("ReduceMean", "mean", x, "space", keepdims=0)
    x = g.node("MatMul", "dense", x, g.normal("dense_w", 8, 8, scale=0.5))
    x = g.node("Add", "dense_bias", x, g.normal("dense_b", 8))
    return g.model(["n", 3, 18, 18], g.node("Softmax", "probabilities", x, axis=1), ["n", 8])


def encoder(seed: int = 5) -> Any:
    """Two pre-norm transformer layers (4 heads, width 32, gelu) and mean pooling over tokens;
    the activations pass an 8-bit quantization once. Input x [n, 12, 24]."""
    g, tokens, heads, width = Graph(seed), 12, 4, 32
    g.weight("split", np.array([0, tokens, heads, width // heads]))
    g.weight("merge", np.array([0, tokens, width]))
    g.weight("root", np.float32(1 / np.sqrt(width // heads)))

    def dense(name: str, x: str, rows: int, columns: int) -> str:
        x = g.node("MatMul", name, x, g.normal(f"{name}_w", rows, columns, scale=rows**-0.5))
        return g.node("Add", f"{name}_bias", x, g.normal(f"{name}_b", columns, scale=0.3))

    def norm(name: str, x: str) -> str:
        gamma = g.random.uniform(0.5, 1.5, width).astype(np.float32)
        return g.node("LayerNormalization", name, x, g.weight(f"{name}_gamma", gamma),
                      g.normal(f"{name}_beta", width, scale=0.2), axis=-1, epsilon=1e-5)  # fmt: skip

    def attention(name: str, x: str) -> str:
        parts = []
        for part, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
            y = g.node("Reshape", f"{name}_{part}_split", dense(f"{name}_{part}", x, width, width),
                       "split")  # fmt: skip
            parts.append(g.node("Transpose", f"{name}_{part}_heads", y, perm=order))
        y = g.node("Mul", f"{name}_scaled", g.node("MatMul", f"{name}_scores", *parts[:2]), "root")
        y = g.node("Softmax", f"{name}_weights", y, axis=-1)
        y = g.node("MatMul", f"{name}_mixed", y, parts[2])
        y = g.node("Transpose", f"{name}_tokens", y, perm=[0, 2, 1, 3])
        return dense(f"{name}_out", g.node("Reshape", f"{name}_merged", y, "merge"), width, width)

    x = dense("embed", "x", 24, width)
    x = g.node("Add", "position", x, g.normal("position_w", tokens, width, scale=0.5))
    for layer in ("one", "two"):
        y = attention(f"{layer}_attention", norm(f"{layer}_norm", x))
        x = g.node("Add", f"{layer}_attended", x, y)
        y = dense(f"{layer}_up", norm(f"{layer}_up_norm", x), width, 2 * width)
        # gelu(x) = x (1 + erf(x / sqrt 2)) / 2
        g.weight(f"{layer}_sqrt2", np.float32(np.sqrt(2)))
        g.weight(f"{layer}_half", np.float32(0.5))
        g.weight(f"{layer}_one", np.float32(1))
        z = g.node("Erf", f"{layer}_erf", g.node("Div", f"{layer}_div", y, f"{layer}_sqrt2"))
        z = g.node("Mul", f"{layer}_gate", y, g.node("Add", f"{layer}_plus", z, f"{layer}_one"))
        y = dense(
            f"{layer}_down", g.node("Mul", f"{layer}_gelu", z, f"{layer}_half"), 2 * width, width
        )
        x = g.node("Add", f"{layer}_out", x, y)
    g.weight("q_scale", np.float32(0.06))
    g.weight("q_zero", np.int8(4))
    x = g.node("QuantizeLinear", "quantize", x, "q_scale", "q_zero")
    x = g.node("DequantizeLinear", "dequantize", x, "q_scale", "q_zero")
    g.weight("crop_start", np.array([1]))
    g.weight("crop_end", np.array([11]))
    g.weight("crop_axes", np.array([1]))
    x = g.node("Slice", "crop", x, "crop_start", "crop_end", "crop_axes")
    variance = g.random.uniform(0.02, 0.5, width).astype(np.float32)
    x = g.node("Transpose", "channels_first", x, perm=[0, 2, 1])
    x = g.node(
        "BatchNormalization", "head_bn", x,
        g.weight("head_gamma", g.random.uniform(0.5, 1.5, width).astype(np.float32)),
        g.normal("head_beta", width), g.normal("head_mean", width), g.weight("head_var", variance),
    )  # fmt: skip
    x = g.node("Conv", "local", x, g.normal("local_w", width, width, 3, scale=0.1),
               g.normal("local_b", width), pads=[1, 1])  # fmt: skip
    g.weight("sixteen", np.float32(16))
    x = g.node("Mul", "scale_up", x, "sixteen")
    x = g.node("Floor", "floor", x)
    x = g.node("Div", "scale_down", x, "sixteen")
    g.weight("time", np.array([2]))
    x = g.node("ReduceMean", "mean", x, "time", keepdims=0)
    return g.model(["n", tokens, 24], dense("classify", x, width, 6), ["n", 6])


INPUTS = {"cnn": (6, 3, 18, 18), "encoder": (6, 12, 24)}


def samples(model: str, seed: int = 11) -> Array:
    """Standard normal inputs, float32."""
    return np.random.default_rng(seed).standard_normal(INPUTS[model]).astype(np.float32)


# --- faults ---------------------------------------------------------------------------------------


def node_of(model: Any, name: str) -> Any:
    return next(node for node in model.graph.node if node.name == name)


def set_attribute(model: Any, name: str, attribute: str, value: Any) -> None:
    node = node_of(model, name)
    kept = [item for item in node.attribute if item.name != attribute]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(attribute, value)])


def change_weight(model: Any, name: str, change: Callable[[Array], Array]) -> None:
    for at, tensor in enumerate(model.graph.initializer):
        if tensor.name == name:
            changed = np.ascontiguousarray(change(numpy_helper.to_array(tensor)))
            model.graph.initializer[at].CopyFrom(numpy_helper.from_array(changed, name))


def replace_kind(model: Any, name: str, kind: str) -> None:
    node = node_of(model, name)
    node.op_type = kind
    kept = [item for item in node.attribute if item.name == "keepdims"]
    del node.attribute[:]
    node.attribute.extend(kept)


def drop_input(model: Any, name: str, at: int) -> None:
    del node_of(model, name).input[at]


def own_weight(model: Any, node: str, at: int, value: Array) -> None:
    """Give a node a constant input of its own."""
    name = f"{node}_planted"
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    node_of(model, node).input[at] = name


@dataclass(frozen=True)
class Fault:
    """A change of one operator, whose name is `operator`."""

    model: str
    kind: str
    operator: str
    plant: Callable[[Any], object]


def _swap(axis: int) -> Callable[[Array], Array]:
    def swapped(weight: Array) -> Array:
        order = np.arange(weight.shape[axis])
        order[[0, 1]] = [1, 0]
        return weight.take(order, axis)

    return swapped


def _faults(model: str, table: dict[str, tuple[str, Callable[[Any], object]]]) -> list[Fault]:
    return [Fault(model, kind, *entry) for kind, entry in table.items()]


def _attribute(name: str, attribute: str, value: Any) -> tuple[str, Callable[[Any], object]]:
    return name, lambda m: set_attribute(m, name, attribute, value)


def _kind(name: str, kind: str) -> tuple[str, Callable[[Any], object]]:
    return name, lambda m: replace_kind(m, name, kind)


def _weight(
    name: str, change: Callable[[Array], Array], *weights: str
) -> tuple[str, Callable[[Any], object]]:
    return name, lambda m: [change_weight(m, weight, change) for weight in weights]


FAULTS = [
    *_faults(
        "cnn",
        {
            "wrong_epsilon": _attribute("stem_bn", "epsilon", 1e-5),
            "swapped_axis": _attribute("probabilities", "axis", 0),
            "transposed_weight": _weight("dense", np.transpose, "dense_w"),
            "dropped_bias": ("pointwise", lambda m: drop_input(m, "pointwise", 2)),
            "saturated_scale": _weight("quantize", lambda s: s / 2, "q_scale"),
            "wrong_padding": _attribute("mix", "pads", [0, 0, 2, 2]),
            "rounding": _kind("round", "Floor"),
            "wrong_activation": _kind("stem_relu", "Identity"),
            "stale_batch_norm": _weight("depthwise_bn", lambda s: 0 * s, "depthwise_bn_mean"),
            "permuted_channels": _weight("depthwise", _swap(0), "depthwise_w"),
            "off_by_one_crop": _weight("crop", lambda s: s - [0, 1], "crop_start", "crop_end"),
            "wrong_reduction": _kind("mean", "ReduceMax"),
        },
    ),
    *_faults(
        "encoder",
        {
            "wrong_epsilon": _attribute("one_up_norm", "epsilon", 1e-3),
            "swapped_axis": _attribute("two_attention_weights", "axis", -2),
            "transposed_weight": _weight("one_attention_q", np.transpose, "one_attention_q_w"),
            "dropped_bias": _weight("two_up_bias", lambda b: 0 * b, "two_up_b"),
            "saturated_scale": _weight("quantize", lambda s: s / 2, "q_scale"),
            "wrong_padding": _attribute("local", "pads", [2, 0]),
            "rounding": _kind("floor", "Round"),
            "wrong_activation": _kind("one_erf", "Tanh"),
            "stale_batch_norm": _weight("head_bn", lambda s: 0 * s + 1, "head_var"),
            "permuted_channels": _weight("one_down", _swap(0), "one_down_w"),
            "off_by_one_crop": _weight("crop", lambda s: s - 1, "crop_start", "crop_end"),
            "wrong_reduction": _kind("mean", "ReduceMax"),
        },
    ),
]
"""Twelve kinds in each model."""

BUILDERS: dict[str, Callable[[], Any]] = {"cnn": cnn, "encoder": encoder}


def planted(fault: Fault) -> Any:
    """The model with the fault in it."""
    model = BUILDERS[fault.model]()
    fault.plant(model)
    return model
