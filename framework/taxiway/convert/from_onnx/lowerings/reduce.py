"""Operators that sum, compare or normalize along axes, and products of matrices."""

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


def _reduction(name: str) -> Lowering:
    """`name`: a function `tf.<name>`, with what ONNX does before and after it."""

    def lower(operation: Operation) -> list[Any]:
        import numpy as np
        import tensorflow as tf

        x = tf.convert_to_tensor(operation.inputs[0])
        given = operation.input(1)
        computed = given is not None and not isinstance(given, np.ndarray)
        axes = given if computed else operation.ints("axes", 1) or None
        if axes is None and operation.attribute("noop_with_empty_axes", 0):
            axes = []
        keep = bool(operation.attribute("keepdims", 1))
        before = {"L1": tf.abs, "SumSquare": tf.square, "L2": tf.square}.get(name, tf.identity)
        after = {"L2": tf.sqrt, "LogSum": tf.math.log}.get(name, tf.identity)
        function = {
            "Max": tf.reduce_max,
            "Min": tf.reduce_min,
            "Mean": tf.reduce_mean,
            "Prod": tf.reduce_prod,
            "LogSumExp": tf.reduce_logsumexp,
        }.get(name, tf.reduce_sum)
        if x.dtype == tf.bool:
            function = {"Max": tf.reduce_any, "Min": tf.reduce_all}[name]
        return [after(function(before(x), axes, keep))]

    return lower


def _arg(largest: bool) -> Lowering:
    def lower(operation: Operation) -> list[Any]:
        import tensorflow as tf

        if operation.attribute("select_last_index", 0):
            raise NotKnown("the last of several equal values")
        axis = operation.attribute("axis", 0)
        find = tf.argmax if largest else tf.argmin
        found = find(operation.inputs[0], axis, tf.int64)
        return [tf.expand_dims(found, axis) if operation.attribute("keepdims", 1) else found]

    return lower


def _softmax(name: str) -> Lowering:
    """Before operator set 13 all axes from `axis` on were one (default 1), since then only `axis`."""

    def lower(operation: Operation) -> list[Any]:
        import tensorflow as tf

        function = getattr(tf.nn, name)
        x = tf.convert_to_tensor(operation.inputs[0])
        if operation.opset >= 13:
            return [function(x, operation.attribute("axis", -1))]
        axis = operation.attribute("axis", 1) % rank_of(x)
        if axis == rank_of(x) - 1:
            return [function(x, -1)]
        shape = shape_of(x)
        flat = tf.reshape(x, tf.stack([tf.reduce_prod(shape[:axis]), -1]))
        return [tf.reshape(function(flat, -1), shape)]

    return lower


def _layer_normalization(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, scale = operation.inputs[:2]
    rank = rank_of(x)
    axes = list(range(operation.attribute("axis", -1) % rank, rank))
    mean = tf.reduce_mean(x, axes, keepdims=True)
    centred = x - mean
    variance = tf.reduce_mean(tf.square(centred), axes, keepdims=True)
    inverse = tf.math.rsqrt(variance + tf.cast(operation.attribute("epsilon", 1e-5), x.dtype))
    y = centred * inverse * scale
    bias = operation.input(2)
    return [y if bias is None else y + bias, mean, inverse][: operation.outputs]


def _instance_normalization(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, scale, bias = operation.inputs
    rank = rank_of(x)
    axes = list(range(2, rank))
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(x - mean), axes, keepdims=True)
    inverse = tf.math.rsqrt(variance + operation.attribute("epsilon", 1e-5))
    shape = [1, -1] + [1] * (rank - 2)
    return [(x - mean) * inverse * tf.reshape(scale, shape) + tf.reshape(bias, shape)]


def _lp_normalization(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, axis = operation.inputs[0], operation.attribute("axis", -1)
    ord_ = 1 if operation.attribute("p", 2) == 1 else "euclidean"
    norm = tf.norm(x, ord=ord_, axis=axis, keepdims=True)
    return [tf.math.divide_no_nan(x, norm)]


def _global_pool(name: str) -> Lowering:
    def lower(operation: Operation) -> list[Any]:
        import tensorflow as tf

        x = operation.inputs[0]
        return [getattr(tf, name)(x, list(range(2, rank_of(x))), keepdims=True)]

    return lower


def _mat_mul(operation: Operation) -> list[Any]:
    """As numpy.matmul: vectors get an axis, which is dropped again."""
    import tensorflow as tf

    a, b = map(tf.convert_to_tensor, operation.inputs)
    left, right = rank_of(a), rank_of(b)
    a = a[None, :] if left == 1 else a
    b = b[:, None] if right == 1 else b
    y = tf.matmul(a, b)
    if right == 1:
        y = tf.squeeze(y, -1)
    if left == 1:
        y = tf.squeeze(y, -1 if right == 1 else -2)
    return [y]


def _gemm(operation: Operation) -> list[Any]:
    import tensorflow as tf

    a, b = operation.inputs[:2]
    y = tf.matmul(
        a,
        b,
        transpose_a=bool(operation.attribute("transA", 0)),
        transpose_b=bool(operation.attribute("transB", 0)),
    )
    alpha, beta, c = (
        operation.attribute("alpha", 1.0),
        operation.attribute("beta", 1.0),
        operation.input(2),
    )
    y = y if alpha == 1.0 else y * tf.cast(alpha, y.dtype)
    if c is None:
        return [y]
    return [y + (c if beta == 1.0 else c * tf.cast(beta, y.dtype))]


def _einsum(operation: Operation) -> list[Any]:
    import tensorflow as tf

    return [tf.einsum(operation.attribute("equation", b"").decode(), *operation.inputs)]


def _cum_sum(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, axis = operation.inputs
    return [
        tf.cumsum(
            x,
            int(constant(axis).reshape(-1)[0]),
            bool(operation.attribute("exclusive", 0)),
            bool(operation.attribute("reverse", 0)),
        )
    ]


_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
LOWERINGS: dict[str, Lowering] = {
    **{f"Reduce{name}": _reduction(name) for name in _REDUCTIONS},
    "ArgMax": _arg(largest=True),
    "ArgMin": _arg(largest=False),
    "CumSum": _cum_sum,
    "Einsum": _einsum,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool("reduce_mean"),
    "GlobalMaxPool": _global_pool("reduce_max"),
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "LogSoftmax": _softmax("log_softmax"),
    "LpNormalization": _lp_normalization,
    "MatMul": _mat_mul,
    "Softmax": _softmax("softmax"),
}
