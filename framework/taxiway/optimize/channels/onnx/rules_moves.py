"""ONNX operators that move, join, reduce and combine values without a kernel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from taxiway.optimize.channels.layers import Stored
from taxiway.optimize.channels.numbering import Ids
from taxiway.optimize.channels.onnx.node import Node, Opaque
from taxiway.optimize.channels.onnx.sizes import Sizes
from taxiway.optimize.channels.signal import Constant, Signal


def elementwise(node: Node) -> list[Signal]:
    operands = [operand for operand in node.inputs if operand is not None]
    return [node.flow.elementwise(operands, node.where)]


def first_input(node: Node) -> list[Signal]:
    """Dropout and CastLike: every output is like the first input."""
    node.settle(0)
    return [replace(node.signal(0), maker=None)] * len(node.results)


def pool(node: Node) -> list[Signal]:
    if len(node.results) > 1:
        raise Opaque("gives places that count channels")
    return [node.flow.spatial(node.signal(0), node.results[0].shape, 1, node.where)]


def reduction(node: Node) -> list[Signal]:
    signal, axes = node.signal(0), node.axes(1)
    node.settle(0)
    if not axes:
        axes = [] if node.attribute("noop_with_empty_axes", 0) else list(range(signal.rank))
    keep = bool(node.attribute("keepdims", 1))
    return [node.flow.reduce(signal, axes, keep, node.where)]


def softmax(node: Node) -> list[Signal]:
    """Softmax, LogSoftmax and Hardmax; before operator set 13 over all axes from `axis` on."""
    signal = node.signal(0)
    early = node.opset < 13
    axis = node.attribute("axis", 1 if early else -1) % signal.rank
    over = range(axis, signal.rank) if early else [axis]
    return [node.flow.along(signal, over, node.where, "normalizes over it")]


def normalization_over_axes(node: Node) -> list[Signal]:
    """LpNormalization (`axis`), MeanVarianceNormalization (`axes`)."""
    signal = node.signal(0)
    default = [node.attribute("axis", -1)] if node.type == "LpNormalization" else [0, 2, 3]
    axes = node.attribute("axes", default)
    return [node.flow.along(signal, axes, node.where, "normalizes over it")]


def transpose(node: Node) -> list[Signal]:
    signal = node.signal(0)
    order = node.attribute("perm") or range(signal.rank)[::-1]
    return [node.flow.transpose(signal, order)]


def flatten(node: Node) -> list[Signal]:
    return [node.flow.reshape(node.signal(0), node.results[0].shape, node.where)]


def reshape(node: Node) -> list[Signal]:
    """Reshape, with the numbers of channels in its second input: 0 copies a size, -1 takes what is left."""
    signal, sizes = node.signal(0), node.sizes(1)
    result = node.flow.reshape(signal, node.results[0].shape, node.where)
    if sizes is None or len(sizes) != result.rank:
        for ids in result.axes:
            node.flow.protect(ids, f"{node.where} computes its shape")
        return [result]
    zero_copies = not node.attribute("allowzero", 0)
    counted = False
    for axis, (ids, size) in enumerate(zip(result.axes, sizes, strict=True)):
        if size.constant and size.value == -1:
            continue
        read = size.ids
        if size.constant and size.value == 0 and zero_copies and axis < signal.rank:
            read = signal.axes[axis]
        if read is not None:
            if ids is None or not np.array_equal(read, ids):
                node.flow.protect(read, f"{node.where} takes their number for another axis")
                node.flow.protect(ids, f"{node.where} takes its size from another axis")
        elif ids is not None and size.constant and size.value > 0:
            node.flow.stored.append(Stored(node.name, ("shape", axis), ids))
            counted = True
        else:
            node.flow.protect(ids, f"{node.where} computes its shape")
    if counted and not isinstance(node.given(1), Constant):
        _write_out(node, result, sizes)
    return [result]


def _write_out(node: Node, result: Signal, sizes: Sizes) -> None:
    """A shape that is computed is written as constants, for one of these changes."""
    base = [-1 if size.free else size.value for size in sizes]
    if base.count(-1) > 1:
        for ids in result.axes:
            node.flow.protect(ids, f"{node.where} computes its shape")
    for axis, (ids, size) in enumerate(zip(result.axes, sizes, strict=True)):
        if ids is not None and base[axis] != -1 and size.ids is not None:
            node.flow.stored.append(Stored(node.name, ("shape", axis), ids))
    node.flow.bases[node.name] = tuple(base)


def squeeze(node: Node) -> list[Signal]:
    return [node.flow.reshape(node.signal(0), node.results[0].shape, node.where)]


def concat(node: Node) -> list[Signal]:
    parts = [node.flow.fixed(o, node.where) for o in node.inputs if o is not None]
    return [node.flow.concat(parts, node.attribute("axis") % parts[0].rank, node.where)]


def split(node: Node) -> list[Signal]:
    """Split, whose sizes are counted anew where it parts channels."""
    signal = node.signal(0)
    axis = node.attribute("axis", 0) % signal.rank
    ids, start, parts = signal.axes[axis], 0, []
    for at, result in enumerate(node.results):
        size = result.shape[axis]
        held = None if ids is None else ids[start : start + size]
        if held is not None:
            node.flow.stored.append(Stored(node.name, ("split", at), held))
        parts.append(replace(signal.with_axis(axis, held, size)))
        start += size
    return parts


def slice_(node: Node) -> list[Signal]:
    """Slice along axes that hold no channels."""
    signal, axes = node.signal(0), node.axes(3)
    node.settle(0)
    if axes is None:
        axes = list(range(signal.rank))
    return [
        replace(
            node.flow.along(signal, axes, node.where, "takes a part of it"),
            shape=node.results[0].shape,
        )
    ]


def gather(node: Node) -> list[Signal]:
    """Gather with constant indices along an axis that holds no channels."""
    table, indices = node.given(0), node.given(1)
    if isinstance(table, Constant) or not isinstance(indices, Constant):
        raise Opaque("looks values up")
    signal = node.signal(0)
    axis = node.attribute("axis", 0) % signal.rank
    node.settle(0)
    left = node.flow.along(signal, [axis], node.where, "takes a part of it")
    new: list[Ids | None] = [None] * indices.rank
    axes = (*left.axes[:axis], *new, *left.axes[axis + 1 :])
    free = (*left.free[:axis], *(False for _ in new), *left.free[axis + 1 :])
    return [Signal(node.results[0].shape, axes, free)]


def pad(node: Node) -> list[Signal]:
    signal = node.signal(0)
    pads = node.attribute("pads")
    pads = node.value(1) if pads is None else pads
    if pads is None or (node.proto.input[3:] and node.proto.input[3]):
        raise Opaque("computes what it pads")
    node.settle(0)
    padded = [at for at in range(signal.rank) if pads[at] or pads[at + signal.rank]]
    left = node.flow.along(signal, padded, node.where, "pads it")
    return [replace(left, shape=node.results[0].shape)]


def resize(node: Node) -> list[Signal]:
    """Resize and Upsample by constant scales or sizes, with channels as they are."""
    signal, result = node.signal(0), node.results[0]
    sizes = node.value(3) if len(node.proto.input) > 3 and node.proto.input[3] else None
    if any(o is not None and not isinstance(o, Constant) for o in node.inputs[1:]):
        raise Opaque("computes its size")
    node.settle(0)
    moved = [at for at in range(signal.rank) if signal.shape[at] != result.shape[at]]
    left = node.flow.along(signal, moved, node.where, "resizes it")
    named = node.attribute("axes") or range(signal.rank)
    for place, axis in enumerate(named if sizes is not None else ()):
        ids = left.axes[axis % signal.rank]
        if ids is not None:
            node.flow.stored.append(Stored(node.name, ("sizes", place), ids))
    return [replace(left, shape=result.shape)]


def expand(node: Node) -> list[Signal]:
    """Expand by a constant shape that leaves the channels alone."""
    signal, value, result = node.signal(0), node.value(1), node.results[0]
    if value is None:
        raise Opaque("computes its shape")
    node.settle(0)
    added = result.rank - signal.rank
    axes: list[Ids | None] = [None] * added
    for axis, ids in enumerate(signal.axes):
        at = axis + added - (result.rank - len(value))
        if ids is not None and (
            result.shape[axis + added] != len(ids) or (at >= 0 and value[at] != 1)
        ):
            node.flow.protect(ids, f"{node.where} repeats it")
        axes.append(ids)
    return [Signal(result.shape, tuple(axes), (*(False for _ in range(added)), *signal.free))]
