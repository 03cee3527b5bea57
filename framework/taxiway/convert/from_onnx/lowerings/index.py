"""Operators that pick or place elements, and that make tensors up."""

from __future__ import annotations

from typing import Any

from taxiway.convert.from_onnx.lowerings.operation import (
    Lowering,
    NotKnown,
    Operation,
    constant,
    rank_of,
)
from taxiway.convert.from_onnx.lowerings.reshape import shape_of

_END = 2**31 - 1
"""Exporters write 2**63 - 1 for "to the end"; TFLite's strided slice counts in 32 bits."""


def _slice(operation: Operation) -> list[Any]:
    import numpy as np
    import tensorflow as tf

    x = operation.inputs[0]
    rank = rank_of(x)
    axes = operation.ints("axes", 3)
    steps = operation.ints("steps", 4)
    starts, ends = (
        np.asarray(operation.attributes[name])
        if name in operation.attributes
        else operation.inputs[position]
        for position, name in ((1, "starts"), (2, "ends"))
    )
    count = starts.shape[0]
    if count is None:
        raise NotKnown("a Slice of an unknown number of axes")
    axes = axes or list(range(count))
    cut: list[Any] = [slice(None)] * rank
    for at, axis in enumerate(axes):
        step = steps[at] if steps else 1
        cut[axis % rank] = slice(_bound(starts, at, step), _bound(ends, at, step), step)
    return [tf.identity(x[tuple(cut)])]


def _bound(bounds: Any, at: int, step: int) -> Any:
    """A bound for Python's slices; None for "from the start" or "to the end", whatever the size."""
    import numpy as np
    import tensorflow as tf

    if not isinstance(bounds, np.ndarray):
        clipped = tf.clip_by_value(tf.cast(bounds[at], tf.int64), -_END, _END)
        return tf.cast(clipped, tf.int32)
    value = int(bounds[at])
    if value >= _END or (value <= -_END and step < 0):
        return None
    return max(value, -_END)


def _gather(operation: Operation) -> list[Any]:
    """Indices count from the end where negative."""
    import tensorflow as tf

    x, indices = operation.inputs
    axis = operation.attribute("axis", 0)
    return [tf.gather(x, _positive(indices, x, axis), axis=axis)]


def _positive(indices: Any, x: Any, axis: int) -> Any:
    import numpy as np
    import tensorflow as tf

    size = tf.convert_to_tensor(x).shape[axis]
    if isinstance(indices, np.ndarray):
        if (indices >= 0).all():
            return indices
        if size is not None:
            return np.where(indices < 0, indices + size, indices)
    length = tf.cast(size if size is not None else shape_of(x)[axis], indices.dtype)
    return tf.where(indices < 0, indices + length, indices)


def _gather_elements(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, indices = operation.inputs
    rank, axis = rank_of(x), operation.attribute("axis", 0) % rank_of(x)
    return [tf.gather_nd(x, _grid(_positive(indices, x, axis), rank, axis))]


def _grid(indices: Any, rank: int, axis: int) -> Any:
    """For each index its whole coordinate: its own position, but `index` on `axis`."""
    import tensorflow as tf

    indices = tf.cast(indices, tf.int64)
    shape = shape_of(indices)
    places = [
        indices
        if at == axis
        else tf.broadcast_to(
            tf.reshape(tf.range(shape[at]), [-1 if a == at else 1 for a in range(rank)]), shape
        )
        for at in range(rank)
    ]
    return tf.stack(places, -1)


def _gather_nd(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, indices = operation.inputs
    batch = operation.attribute("batch_dims", 0)
    depth = indices.shape[-1]
    if depth is None:
        raise NotKnown("a GatherND of unknown depth")
    columns = [_positive(indices[..., at], x, batch + at) for at in range(depth)]
    return [tf.gather_nd(x, tf.stack(columns, -1), batch_dims=batch)]


def _scatter_nd(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, indices, updates = operation.inputs
    depth = indices.shape[-1]
    columns = [_positive(indices[..., at], x, at) for at in range(depth)]
    return [_scattered(operation, x, tf.stack(columns, -1), updates)]


def _scatter_elements(operation: Operation) -> list[Any]:
    x, indices, updates = operation.inputs
    rank, axis = rank_of(x), operation.attribute("axis", 0) % rank_of(x)
    return [_scattered(operation, x, _grid(_positive(indices, x, axis), rank, axis), updates)]


def _scattered(operation: Operation, x: Any, indices: Any, updates: Any) -> Any:
    import tensorflow as tf

    scatter = {
        b"none": tf.tensor_scatter_nd_update,
        b"add": tf.tensor_scatter_nd_add,
        b"max": tf.tensor_scatter_nd_max,
        b"min": tf.tensor_scatter_nd_min,
    }.get(operation.attribute("reduction", b"none"))
    if scatter is None:
        raise NotKnown("a scatter that multiplies")
    return scatter(x, indices, updates)


def _one_hot(operation: Operation) -> list[Any]:
    import tensorflow as tf

    indices, depth, values = operation.inputs
    depth = int(constant(depth).reshape(-1)[0])
    indices = tf.math.floormod(tf.cast(indices, tf.int64), depth)
    hot = tf.one_hot(indices, depth, True, False, operation.attribute("axis", -1), tf.bool)
    return [tf.where(hot, values[1], values[0])]


def _constant_of_shape(operation: Operation) -> list[Any]:
    import numpy as np
    import tensorflow as tf
    from onnx import numpy_helper

    value = operation.attribute("value", None)
    filling = np.zeros(1, np.float32) if value is None else numpy_helper.to_array(value)
    return [tf.fill(tf.cast(operation.inputs[0], tf.int64), filling.reshape(-1)[0])]


def _range(operation: Operation) -> list[Any]:
    import tensorflow as tf

    start, limit, delta = (tf.reshape(x, []) for x in operation.inputs)
    return [tf.range(start, limit, delta)]


def _trilu(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = tf.convert_to_tensor(operation.inputs[0])
    k = operation.input(1)
    k = 0 if k is None else tf.cast(tf.reshape(k, []), tf.int64)
    size = shape_of(x)
    rows, columns = tf.range(size[-2])[:, None], tf.range(size[-1])[None, :]
    kept = columns - rows >= k if operation.attribute("upper", 1) else columns - rows <= k
    return [tf.where(kept, x, tf.zeros_like(x))]


def _top_k(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = operation.inputs[0]
    rank = rank_of(x)
    axis = operation.attribute("axis", -1) % rank
    k = int(operation.attribute("k", 0)) or int(constant(operation.inputs[1]).reshape(-1)[0])
    if not operation.attribute("largest", 1) or not operation.attribute("sorted", 1):
        raise NotKnown("a TopK of the smallest, or without an order")
    order = [*(a for a in range(rank) if a != axis), axis]
    back = sorted(range(rank), key=order.__getitem__)
    moved = x if axis == rank - 1 else tf.transpose(x, order)
    values, indices = tf.math.top_k(moved, k)
    results = [values, tf.cast(indices, tf.int64)]
    return results if axis == rank - 1 else [tf.transpose(y, back) for y in results]


def _non_zero(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = tf.convert_to_tensor(operation.inputs[0])
    return [tf.transpose(tf.where(tf.not_equal(x, tf.zeros_like(x))))]


LOWERINGS: dict[str, Lowering] = {
    "ConstantOfShape": _constant_of_shape,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "NonZero": _non_zero,
    "OneHot": _one_hot,
    "Range": _range,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Slice": _slice,
    "TopK": _top_k,
    "Trilu": _trilu,
}
