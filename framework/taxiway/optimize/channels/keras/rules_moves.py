"""Keras layers and operations without a kernel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from taxiway.optimize.channels.keras.node import Node, Opaque
from taxiway.optimize.channels.keras.operations import ACTIVATIONS
from taxiway.optimize.channels.layers import Stored
from taxiway.optimize.channels.signal import Signal


def unary(node: Node) -> list[Signal]:
    _no_arrays(node)
    return [replace(node.only_input, maker=None)]


def activation(node: Node) -> list[Signal]:
    name = getattr(node.option("activation"), "__name__", "")
    if name in ("softmax", "log_softmax"):
        return [node.flow.along(node.only_input, [-1], node.where, "normalizes over it")]
    if name not in ACTIVATIONS:
        raise Opaque(f"applies {name}")
    return unary(node)


def rescaling(node: Node) -> list[Signal]:
    if np.size(node.option("scale")) > 1 or np.size(node.option("offset")) > 1:
        raise Opaque("has a scale for each channel")
    return unary(node)


def combining(node: Node) -> list[Signal]:
    _no_arrays(node)
    if len({signal.rank for signal in node.inputs}) > 1 and hasattr(
        node.operation, "_merge_function"
    ):
        raise Opaque("combines tensors of several ranks")
    return [node.flow.elementwise(node.inputs, node.where)]


def concatenate(node: Node) -> list[Signal]:
    axis = int(node.option("axis", -1)) % node.inputs[0].rank
    return [node.flow.concat(node.inputs, axis, node.where)]


def spatial(node: Node) -> list[Signal]:
    return [node.flow.spatial(node.only_input, node.result.shape, node.channel_axis(), node.where)]


def global_pool(node: Node) -> list[Signal]:
    signal, channel = node.only_input, node.channel_axis()
    axes = [axis for axis in range(1, signal.rank) if axis != channel]
    return [node.flow.reduce(signal, axes, bool(node.option("keepdims", False)), node.where)]


def softmax(node: Node) -> list[Signal]:
    axes = np.atleast_1d(node.option("axis", -1)).tolist()
    if len(node.inputs) > 1:
        raise Opaque("takes a mask")
    return [node.flow.along(node.inputs[0], axes, node.where, "normalizes over it")]


def flatten(node: Node) -> list[Signal]:
    """Keras flattens channels that come first as if they were last."""
    signal = node.only_input
    if node.option("data_format") == "channels_first" and signal.rank > 2:
        signal = node.flow.transpose(signal, [0, *range(2, signal.rank), 1])
    return [node.flow.reshape(signal, node.result.shape, node.where)]


def reshape(node: Node) -> list[Signal]:
    result = node.flow.reshape(node.only_input, node.result.shape, node.where)
    target = node.option("target_shape", None)
    if target is None:
        raise Opaque("gives a shape of its own")
    for axis, ids in enumerate(result.axes):
        if ids is not None and target[axis - 1] != -1:
            node.flow.stored.append(Stored(node.path, ("target_shape", axis - 1), ids))
    return [result]


def permute(node: Node) -> list[Signal]:
    return [node.flow.transpose(node.only_input, [0, *node.operation.dims])]


def repeat_vector(node: Node) -> list[Signal]:
    signal = node.only_input
    return [replace(node.result, axes=(signal.axes[0], None, signal.axes[1]))]


def _no_arrays(node: Node) -> None:
    """A constant array among the arguments would have one value for each channel."""
    import keras

    for value in keras.tree.flatten((tuple(node.arguments), dict(node.keywords))):
        symbolic = isinstance(value, keras.KerasTensor)
        if not symbolic and hasattr(value, "__array__") and np.size(value) > 1:
            raise Opaque("has a constant of its own")


def reduction(node: Node) -> list[Signal]:
    """Means and the like of `keras.ops`, over axes."""
    signal, axis = node.only_input, node.option("axis")
    axes = range(signal.rank) if axis is None else np.atleast_1d(axis).tolist()
    return [node.flow.reduce(signal, axes, bool(node.option("keepdims", False)), node.where)]


def transpose(node: Node) -> list[Signal]:
    signal, axes = node.only_input, node.option("axes")
    return [node.flow.transpose(signal, range(signal.rank)[::-1] if axes is None else axes)]
