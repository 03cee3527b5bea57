"""Operators that change the shape or the order of the axes and keep the elements."""

from __future__ import annotations

from typing import Any

from taxiway.convert.from_onnx.lowerings.operation import (
    Lowering,
    NotKnown,
    Operation,
    constant,
    rank_of,
)


def shape_of(tensor: Any) -> Any:
    """The shape as an int64 tensor; fixed axes are constants to the converter."""
    import tensorflow as tf

    return tf.shape(tensor, out_type=tf.int64)


def _reshape(operation: Operation) -> list[Any]:
    """A 0 takes the axis over, unless `allowzero` says that it means 0."""
    import numpy as np
    import tensorflow as tf

    x = operation.inputs[0]
    wanted = operation.attribute("shape", operation.input(1))
    if isinstance(wanted, list):
        wanted = np.asarray(wanted, np.int64)
    if operation.attribute("allowzero", 0):
        return [tf.reshape(x, wanted)]
    if isinstance(wanted, np.ndarray):
        fixed = tf.convert_to_tensor(x).shape
        axes = [
            axis if axis else (fixed[at] if fixed[at] is not None else shape_of(x)[at])
            for at, axis in enumerate(wanted.tolist())
        ]
        if not axes:
            return [tf.reshape(x, np.zeros(0, np.int64))]
        if all(isinstance(axis, int) for axis in axes):
            return [tf.reshape(x, axes)]
        return [tf.reshape(x, tf.stack([tf.cast(axis, tf.int64) for axis in axes]))]
    length = wanted.shape[0]
    if length is None:
        raise NotKnown("a Reshape to an unknown number of axes")
    before = shape_of(x)[:length]
    padding = tf.ones([tf.maximum(length - tf.size(before), 0)], tf.int64)
    before = tf.ensure_shape(tf.concat([before, padding], 0), [length])
    return [tf.reshape(x, tf.where(wanted == 0, before, wanted))]


def _transpose(operation: Operation) -> list[Any]:
    import tensorflow as tf

    order = operation.attribute("perm", None)
    return [tf.transpose(operation.inputs[0], order)]


def _concat(operation: Operation) -> list[Any]:
    import tensorflow as tf

    return [tf.concat(list(operation.inputs), operation.attribute("axis", 1))]


def _unsqueeze(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = operation.inputs[0]
    axes = operation.ints("axes", 1) or []
    rank = rank_of(x) + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = tf.expand_dims(x, axis)
    return [tf.identity(x)]


def _squeeze(operation: Operation) -> list[Any]:
    """As a Reshape: the TFLite converter (2.21) folds a Squeeze behind a Transpose into one of the
    wrong shape."""
    import tensorflow as tf

    x = tf.convert_to_tensor(operation.inputs[0])
    axes = operation.ints("axes", 1)
    if x.shape.rank is None or (axes is None and None in x.shape):
        return [tf.squeeze(x, axes)]
    rank = x.shape.rank
    dropped = {a % rank for a in axes} if axes else {a for a in range(rank) if x.shape[a] == 1}
    return [_with_axes(x, [axis for axis in range(rank) if axis not in dropped])]


def _with_axes(x: Any, kept: list[int]) -> Any:
    """`x` without the axes that are not `kept`, which have one element each."""
    import tensorflow as tf

    sizes = [x.shape[axis] for axis in kept]
    if sizes.count(None) <= 1 and 0 not in sizes:
        return tf.reshape(x, [-1 if size is None else size for size in sizes])
    shape = shape_of(x)
    known = (shape[axis] if x.shape[axis] is None else x.shape[axis] for axis in kept)
    return tf.reshape(x, tf.stack([tf.cast(size, tf.int64) for size in known]))


def _flatten(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = tf.convert_to_tensor(operation.inputs[0])
    axis = operation.attribute("axis", 1)
    axis = axis + rank_of(x) if axis < 0 else axis
    before, after = x.shape[:axis], x.shape[axis:]
    if after.is_fully_defined():
        return [
            tf.reshape(x, [-1 if None in before else before.num_elements(), after.num_elements()])
        ]
    if before.is_fully_defined():
        return [tf.reshape(x, [before.num_elements(), -1])]
    return [tf.reshape(x, tf.stack([tf.reduce_prod(shape_of(x)[:axis]), -1]))]


def _expand(operation: Operation) -> list[Any]:
    import numpy as np
    import tensorflow as tf

    x, wanted = operation.inputs
    fixed = tf.convert_to_tensor(x).shape
    if isinstance(wanted, np.ndarray) and fixed.is_fully_defined():
        return [tf.broadcast_to(x, np.broadcast_shapes(tuple(fixed), tuple(wanted)))]
    return [tf.broadcast_to(x, tf.broadcast_dynamic_shape(shape_of(x), tf.cast(wanted, tf.int64)))]


def _shape(operation: Operation) -> list[Any]:
    start, end = operation.attribute("start", None), operation.attribute("end", None)
    return [shape_of(operation.inputs[0])[start:end]]


def _size(operation: Operation) -> list[Any]:
    import tensorflow as tf

    return [tf.size(operation.inputs[0], out_type=tf.int64)]


def _split(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = tf.convert_to_tensor(operation.inputs[0])
    axis = operation.attribute("axis", 0)
    sizes = operation.ints("split", 1)
    if sizes is None:
        length = x.shape[axis]
        if length is None:
            raise NotKnown("a Split of an axis of unknown size")
        each = -(-length // operation.outputs)
        sizes = [min(each, length - at * each) for at in range(operation.outputs)]
    return list(tf.split(x, sizes, axis))


def _tile(operation: Operation) -> list[Any]:
    import tensorflow as tf

    return [tf.tile(*operation.inputs)]


def _pad(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = operation.inputs[0]
    rank = rank_of(x)
    mode = operation.attribute("mode", b"constant").decode()
    pads = operation.ints("pads", 1) or []
    axes = operation.input(3)
    chosen = range(rank) if axes is None else [int(a) % rank for a in constant(axes)]
    widths = [[0, 0] for _ in range(rank)]
    for at, axis in enumerate(chosen):
        widths[axis] = [pads[at], pads[at + len(pads) // 2]]
    if mode == "wrap" and min(pads) >= 0:
        return [_wrapped(x, widths)]
    if mode not in ("constant", "edge", "reflect") or (mode == "edge" and min(pads) < 0):
        raise NotKnown(f"Pad with mode {mode}")
    cut = [slice(max(-a, 0), -max(-b, 0) or None) for a, b in widths]
    x = x[tuple(cut)] if min(pads, default=0) < 0 else x
    widths = [[max(a, 0), max(b, 0)] for a, b in widths]
    if mode == "edge":
        return [_edges(x, widths)]
    value = operation.attribute("value", operation.input(2))
    value = 0 if value is None else tf.cast(tf.reshape(value, []), x.dtype)
    return [tf.pad(x, widths, mode.upper(), value)]


def _wrapped(x: Any, widths: list[list[int]]) -> Any:
    import tensorflow as tf

    for axis, (before, after) in enumerate(widths):
        whole = [slice(None)] * axis
        size = x.shape[axis]
        if size is not None and max(before, after) > size:
            raise NotKnown("a Pad that goes round more than once")
        parts = [x[(*whole, slice(-before, None))]] if before else []
        parts += [x, *([x[(*whole, slice(0, after))]] if after else [])]
        x = tf.concat(parts, axis) if len(parts) > 1 else x
    return x


def _edges(x: Any, widths: list[list[int]]) -> Any:
    import tensorflow as tf

    for axis, (before, after) in enumerate(widths):
        if not (before or after):
            continue
        ends = [[slice(None)] * axis + [edge] for edge in (slice(0, 1), slice(-1, None))]
        counts = [[n if a == axis else 1 for a in range(len(widths))] for n in (before, after)]
        first, last = (tf.tile(x[tuple(e)], c) for e, c in zip(ends, counts, strict=True))
        x = tf.concat([first, x, last], axis)
    return x


def _depth_to_space(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, size = operation.inputs[0], operation.attribute("blocksize", 1)
    n, c, h, w = x.shape
    if None in (c, h, w):
        raise NotKnown("DepthToSpace of an image of unknown size")
    column_first = operation.attribute("mode", b"DCR") == b"CRD"
    blocks = [c // size**2, size, size] if column_first else [size, size, c // size**2]
    order = [0, 1, 4, 2, 5, 3] if column_first else [0, 3, 4, 1, 5, 2]
    y = tf.transpose(tf.reshape(x, [-1, *blocks, h, w]), order)
    return [tf.reshape(y, [-1 if n is None else n, c // size**2, h * size, w * size])]


def _space_to_depth(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, size = operation.inputs[0], operation.attribute("blocksize", 1)
    n, c, h, w = x.shape
    if None in (c, h, w):
        raise NotKnown("SpaceToDepth of an image of unknown size")
    y = tf.reshape(x, [-1, c, h // size, size, w // size, size])
    y = tf.transpose(y, [0, 3, 5, 1, 2, 4])
    return [tf.reshape(y, [-1 if n is None else n, c * size**2, h // size, w // size])]


LOWERINGS: dict[str, Lowering] = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "Flatten": _flatten,
    "Pad": _pad,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
