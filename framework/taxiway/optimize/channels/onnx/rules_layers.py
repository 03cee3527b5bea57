"""ONNX operators with kernels, and normalizations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from taxiway.optimize.channels.flow import positions
from taxiway.optimize.channels.layers import Layer, Role, Scale, Stored, Tap
from taxiway.optimize.channels.numbering import Ids
from taxiway.optimize.channels.onnx.node import Node, Opaque
from taxiway.optimize.channels.signal import Constant, Signal


def convolution(node: Node) -> list[Signal]:
    """Conv and ConvTranspose: kernel `[out, in / group, ...]`, transposed `[in, out / group, ...]`."""
    flow, signal, kernel = node.flow, node.signal(0), node.weight(1)
    (result,), group = node.results, node.attribute("group", 1)
    transposed = node.type == "ConvTranspose"
    for axis in range(2, signal.rank):
        flow.protect(signal.axes[axis], f"{node.where} moves along it")
    made_by, taken_by = (1, 0) if transposed else (0, 1)
    ids, count = signal.axes[1], result.shape[1]
    axes: dict[int, tuple[Ids, Role]] = {}
    made: Ids | None = None
    if group == 1:
        if ids is not None:
            axes[taken_by] = (ids, "in")
            flow.taps.append(Tap(node.name, 1, ids))
        made = flow.numbering.fresh(count)
        axes[made_by] = (made, "out")
    elif group == signal.shape[1] and (not transposed or kernel.shape[1] == 1):
        if ids is not None:
            made = np.repeat(ids, count // len(ids))
            axes[0] = (made, "carry")
            flow.stored.append(Stored(node.name, ("group",), ids))
        else:
            flow.keep(node.name, f"{node.where} works on channels that stay")
    else:
        flow.protect(ids, f"{node.where} has {group} groups")
        flow.keep(node.name, f"it has {group} groups")
    flow.use(kernel, axes, node.name)
    _bias(node, 2, made)
    moved = positions(signal if transposed else result, [1])
    flow.layer(Layer(node.name, node.type, kernel.name, moved))
    maker = (kernel.name, made_by) if group == 1 else None
    return [replace(result.with_axis(1, made), maker=maker)]


def gemm(node: Node) -> list[Signal]:
    """Gemm: kernel `[in, out]`, or `[out, in]` where it is transposed."""
    signal, kernel = node.signal(0), node.weight(1)
    if node.attribute("transA", 0):
        raise Opaque("transposes its input")
    transposed = bool(node.attribute("transB", 0))
    return [_dense(node, signal, kernel, 1 - transposed, transposed, bias=2)]


def matmul(node: Node) -> list[Signal]:
    """MatMul by a kernel `[in, out]`."""
    kernel = node.given(1)
    if not isinstance(kernel, Constant):
        raise Opaque("multiplies two computed tensors")
    signal = node.signal(0)
    if kernel.rank != 2 or signal.rank < 2:
        raise Opaque(f"multiplies by {kernel.rank} axes")
    return [_dense(node, signal, kernel, 1, 0, bias=None)]


def _dense(
    node: Node, signal: Signal, kernel: Constant, made_by: int, taken_by: int, bias: int | None
) -> Signal:
    flow, (result,) = node.flow, node.results
    ids = signal.axes[-1]
    axes: dict[int, tuple[Ids, Role]] = {}
    if ids is not None:
        axes[taken_by] = (ids, "in")
        flow.taps.append(Tap(node.name, signal.rank - 1, ids))
    made = flow.numbering.fresh(kernel.shape[made_by])
    axes[made_by] = (made, "out")
    flow.use(kernel, axes, node.name)
    if bias is not None:
        _bias(node, bias, made)
    flow.layer(Layer(node.name, node.type, kernel.name, positions(result, [-1])))
    return replace(result, axes=(*signal.axes[:-1], made), maker=(kernel.name, made_by))


def _bias(node: Node, at: int, made: Ids | None) -> None:
    """A bias has one value per channel along its last axis, or one for all."""
    operand = node.given(at)
    if operand is None:
        return
    if not isinstance(operand, Constant):
        raise Opaque("computes its bias")
    last = operand.rank - 1
    fits = made is not None and last >= 0 and operand.shape[last] == len(made) > 1
    if operand.rank > 1 and operand.shape[0] != 1:
        raise Opaque("has a bias of its own for each row")
    held: dict[int, tuple[Ids, Role]] = {last: (made, "carry")} if fits and made is not None else {}
    if made is not None and len(made) == 1 and last >= 0:
        held = {last: (made, "carry")}
    node.flow.use(operand, held, node.where)


def recurrent(node: Node) -> list[Signal]:
    """LSTM, GRU, RNN: only their inputs can be cut; kernel of the input `[directions, gates, in]`."""
    flow, signal, kernel = node.flow, node.signal(0), node.weight(1)
    for axis in range(signal.rank - 1):
        flow.protect(signal.axes[axis], f"{node.where} moves along it")
    ids = signal.axes[-1]
    flow.use(kernel, {2: (ids, "in")} if ids is not None else {}, node.name)
    if ids is not None:
        flow.taps.append(Tap(node.name, signal.rank - 1, ids))
    node.settle(1)
    flow.opaque(
        [o for o in node.inputs[3:] if isinstance(o, Signal)], node.where, "keeps a state of it"
    )
    flow.layer(Layer(node.name, node.type, kernel.name, positions(node.results[0], [1, -1])))
    flow.keep(node.name, "it is recurrent")
    return list(node.results)


def batch_normalization(node: Node) -> list[Signal]:
    if len(node.results) > 1:
        raise Opaque("is in training mode")
    signal = node.signal(0)
    gamma, beta, mean, variance = (node.weight(at) for at in range(1, 5))
    result = node.flow.per_channel(signal, 1, (gamma, beta, mean, variance), node.where)
    if signal.maker is not None:
        epsilon = float(node.attribute("epsilon", 1e-5))
        node.flow.scales[signal.maker] = Scale(gamma.name, variance.name, epsilon)
    return [result]


def instance_normalization(node: Node) -> list[Signal]:
    signal = node.signal(0)
    moved = node.flow.along(signal, range(2, signal.rank), node.where, "normalizes it")
    return [node.flow.per_channel(moved, 1, (node.weight(1), node.weight(2)), node.where)]


def normalization(node: Node) -> list[Signal]:
    """LayerNormalization and its like: over the axes from `axis` on, which therefore stay."""
    signal = node.signal(0)
    first = node.attribute("axis", -1) % signal.rank
    node.settle(0)
    result = node.flow.along(signal, range(first, signal.rank), node.where, "normalizes over it")
    return [result, *node.results[1:]]
