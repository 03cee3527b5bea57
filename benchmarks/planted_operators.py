"""Faults of quantization planted into an ONNX graph whose float result they leave, or nearly leave, as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

Array = np.ndarray[Any, Any]
KEEPS_SCALE = {"Relu", "MaxPool", "AveragePool", "GlobalAveragePool", "Identity"}
"""f(k x) = k f(x) for k > 0, channel by channel."""


@dataclass(frozen=True)
class Link:
    """A convolution or dense layer, and the next one, with nothing but `KEEPS_SCALE` between them.

    names: all operators that touch the values between the two layers, these included.
    """

    first: Any
    second: Any
    names: tuple[str, ...]


@dataclass(frozen=True)
class Planted:
    """A faulty model, where the fault is, and every operator that touches the faulty values."""

    proto: Any
    operator: str
    touched: tuple[str, ...]


def wide(proto: Any, seed: int, factor: float = 200.0) -> Planted:
    """One channel `factor` times larger, which the next layer takes back: the same function."""
    made, link, random = _chosen(proto, seed)
    weight, bias = _weights(made, link.first)
    channel = int(random.integers(_channels(link.first, weight)))
    _out(link.first, weight)[channel] *= factor
    bias[channel] *= factor
    after, other = _weights(made, link.second)
    _in(link.second, after)[channel] /= factor
    _write(made, link.first, weight, bias)
    _write(made, link.second, after, other)
    return Planted(made, link.first.name, link.names)


def saturating(proto: Any, seed: int, level: float = 3000.0) -> Planted:
    """One channel always at `level`, which the next layer ignores: the others share what is left of
    the range."""
    made, link, random = _chosen(proto, seed)
    weight, bias = _weights(made, link.first)
    channel = int(random.integers(_channels(link.first, weight)))
    _out(link.first, weight)[channel] = 0
    bias[channel] = level
    after, other = _weights(made, link.second)
    _in(link.second, after)[channel] = 0
    _write(made, link.first, weight, bias)
    _write(made, link.second, after, other)
    return Planted(made, link.first.name, link.names)


def shifted(proto: Any, seed: int) -> Planted:
    """All logits 1000 higher or lower, which softmax takes no notice of: the same function."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    last = next(node for node in reversed(made.graph.node) if node.op_type == "Gemm")
    softmax = next(node for node in made.graph.node if node.op_type == "Softmax")
    weight, bias = _weights(made, last)
    bias += np.random.default_rng(seed).choice([-1000.0, 1000.0])
    _write(made, last, weight, bias)
    return Planted(made, last.name, (last.name, softmax.name))


KINDS = {"wide channel": wide, "saturating layer": saturating, "shifted logits": shifted}


def links(proto: Any) -> list[Link]:
    """Every pair of layers that a fault can be planted between."""
    graph = proto.graph
    constants = {tensor.name for tensor in graph.initializer}
    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    found = []
    for node in graph.node:
        if not _layer(node, constants):
            continue
        names, at = [node.name], node
        while len(users.get(at.output[0], [])) == 1:
            (at,) = users[at.output[0]]
            names.append(at.name)
            if at.op_type not in KEEPS_SCALE:
                break
        if at is not node and _layer(at, constants) and at.op_type == node.op_type:
            found.append(Link(node, at, tuple(names)))
    return found


def _layer(node: Any, constants: set[str]) -> bool:
    """With a bias, and weights that are stored."""
    return (
        node.op_type in ("Conv", "Gemm") and len(node.input) == 3 and {*node.input[1:]} <= constants
    )


def _chosen(proto: Any, seed: int) -> tuple[Any, Link, np.random.Generator]:
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    random = np.random.default_rng(seed)
    found = links(made)
    return made, found[int(random.integers(len(found)))], random


def _weights(proto: Any, node: Any) -> tuple[Array, Array]:
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    weight, bias = (numpy_helper.to_array(stored[name]).copy() for name in node.input[1:3])
    return weight, bias


def _write(proto: Any, node: Any, weight: Array, bias: Array) -> None:
    for tensor in proto.graph.initializer:
        for name, values in zip(node.input[1:3], (weight, bias), strict=True):
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(values, name))


def _transposed(node: Any) -> bool:
    return any(entry.name == "transB" and entry.i for entry in node.attribute)


def _out(node: Any, weight: Array) -> Array:
    """A view of the weights with the output channels first."""
    return weight if node.op_type == "Conv" or _transposed(node) else weight.T


def _in(node: Any, weight: Array) -> Array:
    """A view with the input channels first; those of a depthwise convolution are its outputs."""
    if node.op_type == "Gemm":
        return weight.T if _transposed(node) else weight
    groups = next((entry.i for entry in node.attribute if entry.name == "group"), 1)
    if groups == 1:
        return weight.swapaxes(0, 1)
    return weight.reshape(groups, -1, *weight.shape[1:])


def _channels(node: Any, weight: Array) -> int:
    return len(_out(node, weight))
