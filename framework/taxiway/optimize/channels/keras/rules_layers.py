"""Keras layers with kernels, and normalizations.

Shapes of kernels: keras.io/api/layers; `[..., in, out]`, transposed `[..., out, in]`, depthwise
`[..., in, multiplier]`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from taxiway.optimize.channels.flow import positions
from taxiway.optimize.channels.keras.node import Node, Opaque
from taxiway.optimize.channels.keras.operations import ACTIVATIONS
from taxiway.optimize.channels.layers import Layer, Role, Scale, Stored, Tap
from taxiway.optimize.channels.numbering import Ids
from taxiway.optimize.channels.signal import Constant, Signal

Axes = dict[int, tuple[Ids, Role]]


def dense(node: Node) -> list[Signal]:
    _plain_float(node)
    signal, kernel = node.only_input, node.constant(node.operation.kernel)
    made = node.flow.numbering.fresh(kernel.shape[1])
    axes = _taken(node, signal, -1, 0)
    axes[1] = (made, "out")
    node.flow.use(kernel, axes, node.path)
    node.flow.stored.append(Stored(node.path, ("units",), made))
    moved = positions(node.result, [-1])
    node.flow.layer(Layer(node.path, node.type, kernel.name, moved))
    result = replace(node.result, axes=(*signal.axes[:-1], made))
    return [_activated(node, result, made, (kernel.name, 1))]


def convolution(node: Node) -> list[Signal]:
    """Conv1D to 3D; with as many groups as channels it is a depthwise one."""
    _plain_float(node)
    signal, channel = node.only_input, node.channel_axis()
    kernel, groups = node.constant(node.operation.kernel), int(node.option("groups", 1))
    last = kernel.rank - 1
    _moves_along(node, signal, channel)
    made: Ids | None = None
    axes: Axes = {}
    if groups == 1:
        made = node.flow.numbering.fresh(kernel.shape[last])
        axes = _taken(node, signal, channel, last - 1)
        axes[last] = (made, "out")
    else:
        ids = signal.axes[channel]
        if groups != signal.shape[channel] or ids is None:
            node.flow.protect(ids, f"{node.where} has {groups} groups")
            node.flow.keep(node.path, f"it has {groups} groups")
        else:
            made = np.repeat(ids, kernel.shape[last] // groups)
            axes[last] = (made, "carry")
            node.flow.stored.append(Stored(node.path, ("groups",), ids))
    if made is not None:
        node.flow.stored.append(Stored(node.path, ("filters",), made))
    node.flow.use(kernel, axes, node.path)
    moved = positions(node.result, [channel])
    node.flow.layer(Layer(node.path, node.type, kernel.name, moved))
    result = node.result.with_axis(channel, made)
    return [_activated(node, result, made, (kernel.name, last) if groups == 1 else None)]


def transposed(node: Node) -> list[Signal]:
    _plain_float(node)
    signal, channel = node.only_input, node.channel_axis()
    kernel = node.constant(node.operation.kernel)
    if int(node.option("groups", 1)) != 1:
        raise Opaque("has groups")
    last = kernel.rank - 1
    _moves_along(node, signal, channel)
    made = node.flow.numbering.fresh(kernel.shape[last - 1])
    axes = _taken(node, signal, channel, last)
    axes[last - 1] = (made, "out")
    node.flow.use(kernel, axes, node.path)
    node.flow.stored.append(Stored(node.path, ("filters",), made))
    moved = positions(signal, [channel])
    node.flow.layer(Layer(node.path, node.type, kernel.name, moved))
    result = node.result.with_axis(channel, made)
    return [_activated(node, result, made, (kernel.name, last - 1))]


def depthwise(node: Node) -> list[Signal]:
    signal, channel = node.only_input, node.channel_axis()
    kernel = node.constant(node.operation.kernel)
    _moves_along(node, signal, channel)
    ids, axes = signal.axes[channel], {}
    made: Ids | None = None
    if ids is None:
        node.flow.keep(node.path, "it works on channels that stay")
    else:
        axes[kernel.rank - 2] = (ids, "carry")
        made = np.repeat(ids, kernel.shape[-1])
    node.flow.use(kernel, axes, node.path)  # type: ignore[arg-type]
    moved = positions(node.result, [channel])
    node.flow.layer(Layer(node.path, node.type, kernel.name, moved))
    return [_activated(node, node.result.with_axis(channel, made), made, None)]


def separable(node: Node) -> list[Signal]:
    """A depthwise convolution, then one of size 1 over what it gives."""
    signal, channel = node.only_input, node.channel_axis()
    first, second = (
        node.constant(getattr(node.operation, f"{kind}_kernel"))
        for kind in ("depthwise", "pointwise")
    )
    _moves_along(node, signal, channel)
    ids, last = signal.axes[channel], second.rank - 1
    made = node.flow.numbering.fresh(second.shape[last])
    deep: Axes = {}
    wide: Axes = {last: (made, "out")}
    if ids is not None:
        deep[first.rank - 2] = (ids, "carry")
        wide[last - 1] = (np.repeat(ids, first.shape[-1]), "in")
        node.flow.taps.append(Tap(node.path, channel, ids))
    node.flow.use(first, deep, node.path)
    node.flow.use(second, wide, node.path)
    node.flow.stored.append(Stored(node.path, ("filters",), made))
    moved = positions(node.result, [channel])
    node.flow.layer(Layer(node.path, node.type, second.name, moved))
    node.flow.layer(Layer(f"{node.path}/depthwise", node.type, first.name, moved))
    result = node.result.with_axis(channel, made)
    return [_activated(node, result, made, (second.name, last))]


def recurrent(node: Node) -> list[Signal]:
    """LSTM, GRU, SimpleRNN, and both directions of one: only their inputs can be cut."""
    layer = node.operation
    both = [layer.forward_layer, layer.backward_layer] if node.type == "Bidirectional" else [layer]
    if any(type(one).__name__ not in ("GRU", "LSTM", "SimpleRNN") for one in both):
        raise Opaque("is not followed through")
    signal = node.inputs[0]
    if len(node.inputs) > 1:
        raise Opaque("takes a state")
    for axis in range(signal.rank - 1):
        node.flow.protect(signal.axes[axis], f"{node.where} moves along it")
    kernels = [node.constant(one.cell.kernel) for one in both]
    steps = signal.shape[1]
    for at, kernel in enumerate(kernels):
        node.flow.use(kernel, _taken(node, signal, -1, 0), node.path)
        name = node.path if at == 0 else f"{node.path}/backward"
        node.flow.layer(Layer(name, node.type, kernel.name, steps))
    known = {kernel.name for kernel in kernels}
    for variable in layer.weights:
        constant = node.constant(variable)
        if constant.name not in known:
            node.flow.use(constant, {}, node.path)
    node.flow.keep(node.path, "it is recurrent")
    return list(node.results)


def batch_normalization(node: Node) -> list[Signal]:
    layer, signal = node.operation, node.only_input
    axes = np.atleast_1d(layer.axis).tolist()
    if len(axes) != 1:
        raise Opaque("normalizes along several axes")
    weights = [layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance]
    if getattr(layer, "renorm", False):
        raise Opaque("renormalizes")
    constants = [None if weight is None else node.constant(weight) for weight in weights]
    axis = axes[0] % signal.rank
    result = node.flow.per_channel(signal, axis, constants, node.where)
    gamma, variance = constants[0], constants[3]
    if signal.maker is not None and variance is not None:
        name = gamma.name if gamma else None
        node.flow.scales[signal.maker] = Scale(name, variance.name, float(layer.epsilon))
    return [result]


def normalization(node: Node) -> list[Signal]:
    """LayerNormalization, RMSNormalization, UnitNormalization: the axes they normalize over stay."""
    signal = node.only_input
    axes = np.atleast_1d(node.option("axis", -1)).tolist()
    for variable in node.operation.weights:
        node.flow.use(node.constant(variable), {}, node.where)
    return [node.flow.along(signal, axes, node.where, "normalizes over it")]


def prelu(node: Node) -> list[Signal]:
    alpha = node.constant(node.operation.alpha)
    return [node.flow.elementwise([node.only_input, alpha], node.where)]


def _taken(node: Node, signal: Signal, axis: int, taken_by: int) -> Axes:
    """The axis of a kernel that takes a signal's channels in."""
    ids = signal.axes[axis]
    if ids is None:
        return {}
    node.flow.taps.append(Tap(node.path, axis % signal.rank, ids))
    return {taken_by: (ids, "in")}


def _moves_along(node: Node, signal: Signal, channel: int) -> None:
    for axis in range(1, signal.rank):
        if axis != channel:
            node.flow.protect(signal.axes[axis], f"{node.where} moves along it")


def _plain_float(node: Node) -> None:
    for option in ("quantization_mode", "lora_enabled"):
        if node.option(option):
            raise Opaque(f"has {option}={node.option(option)}")


def _activated(
    node: Node, result: Signal, made: Ids | None, maker: tuple[str, int] | None
) -> Signal:
    """The output of a layer after its bias and its own activation."""
    bias: Any = node.option("bias")
    if bias is not None:
        constant: Constant = node.constant(bias)
        node.flow.use(constant, {0: (made, "carry")} if made is not None else {}, node.where)
    name = getattr(node.option("activation"), "__name__", "linear")
    if name not in ACTIVATIONS:
        node.flow.protect(made, f"{node.where} ends with {name}")
    return replace(result, maker=maker if name == "linear" else None)
