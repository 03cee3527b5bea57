"""Operators that work on each element, with NumPy's broadcasting."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

from taxiway.convert.from_onnx.lowerings.operation import Lowering, NotKnown, Operation, rank_of


def _unary(name: str) -> Lowering:
    """A function `tf.<name>` of one tensor."""

    def lower(operation: Operation) -> list[Any]:
        import tensorflow as tf

        function: Any = tf
        for part in name.split("."):
            function = getattr(function, part)
        return [function(operation.inputs[0])]

    return lower


def _binary(name: str) -> Lowering:
    """A function `tf.<name>` of two tensors; one of more tensors is applied from the left."""

    def lower(operation: Operation) -> list[Any]:
        import tensorflow as tf

        function: Any = tf
        for part in name.split("."):
            function = getattr(function, part)
        if operation.attribute("broadcast", 0):
            raise NotKnown("the broadcasting of operator sets before 7")
        return [reduce(function, map(tf.convert_to_tensor, operation.inputs))]

    return lower


def _div(operation: Operation) -> list[Any]:
    """Integers are cut towards zero. Those of 64 bits are divided in 32, as TFLite does: they count
    axes and elements."""
    import tensorflow as tf

    a, b = map(tf.convert_to_tensor, operation.inputs)
    if not a.dtype.is_integer:
        return [tf.divide(a, b)]
    if a.dtype == tf.int64:
        narrow = replace(operation, inputs=[tf.cast(a, tf.int32), tf.cast(b, tf.int32)])
        return [tf.cast(_div(narrow)[0], tf.int64)]
    quotient = tf.math.floordiv(a, b)
    if a.dtype.is_unsigned:
        return [quotient]
    inexact = tf.not_equal(quotient * b, a)
    return [quotient + tf.cast(inexact & ((a < 0) != (b < 0)), a.dtype)]


def _pow(operation: Operation) -> list[Any]:
    """The exponent may have another type; the result has that of the base."""
    import tensorflow as tf

    base, exponent = map(tf.convert_to_tensor, operation.inputs)
    if base.dtype == exponent.dtype:
        return [tf.pow(base, exponent)]
    wide = exponent.dtype if exponent.dtype.is_floating else base.dtype
    return [tf.cast(tf.pow(tf.cast(base, wide), tf.cast(exponent, wide)), base.dtype)]


def _mod(operation: Operation) -> list[Any]:
    import tensorflow as tf

    a, b = map(tf.convert_to_tensor, operation.inputs)
    if operation.attribute("fmod", 0):
        return [tf.math.floormod(tf.abs(a), tf.abs(b)) * tf.sign(a)]
    return [tf.math.floormod(a, b)]


def _mean(operation: Operation) -> list[Any]:
    import tensorflow as tf

    return [reduce(tf.add, operation.inputs) / len(operation.inputs)]


def _cast(operation: Operation) -> list[Any]:
    import tensorflow as tf
    from onnx import helper

    code = operation.attribute("to", None)
    dtype = tf.as_dtype(helper.tensor_dtype_to_np_dtype(code))
    x = tf.convert_to_tensor(operation.inputs[0])
    if dtype == tf.string or x.dtype == tf.string:
        raise NotKnown("a cast from or to strings")
    if x.dtype == tf.bool and dtype.is_integer:
        # The TFLite converter takes a comparison of a cast boolean with 0 for one of the boolean itself.
        return [tf.where(x, tf.ones([], dtype), tf.zeros([], dtype))]
    return [tf.cast(x, dtype)]


def _clip(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = operation.inputs[0]
    low = operation.attribute("min", operation.input(1))
    high = operation.attribute("max", operation.input(2))
    if low is not None:
        x = tf.maximum(x, tf.cast(low, x.dtype))
    if high is not None:
        x = tf.minimum(x, tf.cast(high, x.dtype))
    return [tf.identity(x)]


def _where(operation: Operation) -> list[Any]:
    import tensorflow as tf

    return [tf.where(*operation.inputs)]


def _leaky_relu(operation: Operation) -> list[Any]:
    import tensorflow as tf

    return [tf.nn.leaky_relu(operation.inputs[0], operation.attribute("alpha", 0.01))]


def _prelu(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, slope = operation.inputs
    return [tf.where(x < 0, x * slope, x)]


def _elu(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, alpha = operation.inputs[0], operation.attribute("alpha", 1.0)
    return [tf.nn.elu(x) if alpha == 1.0 else tf.where(x < 0, alpha * (tf.exp(x) - 1), x)]


def _celu(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, alpha = operation.inputs[0], operation.attribute("alpha", 1.0)
    return [tf.maximum(x, 0) + tf.minimum(alpha * (tf.exp(x / alpha) - 1), 0)]


def _selu(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = operation.inputs[0]
    alpha = operation.attribute("alpha", 1.6732632423543772)
    gamma = operation.attribute("gamma", 1.0507009873554805)
    return [gamma * tf.where(x > 0, x, alpha * (tf.exp(x) - 1))]


def _hard_sigmoid(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = operation.inputs[0]
    alpha, beta = operation.attribute("alpha", 0.2), operation.attribute("beta", 0.5)
    return [tf.clip_by_value(alpha * x + beta, 0, 1)]


def _hard_swish(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = operation.inputs[0]
    # The form that the TFLite converter knows as HARD_SWISH.
    return [x * tf.nn.relu6(x + 3) * (1.0 / 6.0)]


def _gelu(operation: Operation) -> list[Any]:
    import tensorflow as tf

    approximate = operation.attribute("approximate", b"none") == b"tanh"
    return [tf.nn.gelu(operation.inputs[0], approximate=approximate)]


def _mish(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = operation.inputs[0]
    return [x * tf.tanh(tf.math.softplus(x))]


def _swish(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = operation.inputs[0]
    return [x * tf.sigmoid(operation.attribute("alpha", 1.0) * x)]


def _thresholded_relu(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = operation.inputs[0]
    return [tf.where(x > operation.attribute("alpha", 1.0), x, tf.zeros_like(x))]


def _shrink(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, bias = operation.inputs[0], operation.attribute("bias", 0.0)
    edge = operation.attribute("lambd", 0.5)
    bias, edge = tf.cast(bias, x.dtype), tf.cast(edge, x.dtype)
    inner = tf.where(x > edge, x - bias, tf.zeros_like(x))
    return [tf.where(x < -edge, x + bias, inner)]


def _is_inf(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x = operation.inputs[0]
    # The TFLite converter (2.21) makes something of IsInf that is always false.
    found = tf.abs(x) > x.dtype.max
    if not operation.attribute("detect_negative", 1):
        found &= x > 0
    if not operation.attribute("detect_positive", 1):
        found &= x < 0
    return [found]


def _shift(operation: Operation) -> list[Any]:
    """Counts outside of the type's bits leave only copies of the sign, which TensorFlow leaves open."""
    import numpy as np
    import tensorflow as tf

    right = operation.attribute("direction", b"LEFT") == b"RIGHT"
    shift = tf.bitwise.right_shift if right else tf.bitwise.left_shift
    x, count = map(tf.convert_to_tensor, operation.inputs)
    bits, given = x.dtype.size * 8, operation.inputs[1]
    known = isinstance(given, np.ndarray) and bool(((given >= 0) & (given < bits)).all())
    if known or x.dtype.is_unsigned:
        return [shift(x, count)]
    inside = (count >= 0) & (count < bits)
    zeros = tf.zeros_like(x + count)
    signs = tf.where(x < 0, zeros - 1, zeros) if right else zeros
    return [tf.where(inside, shift(x, tf.where(inside, count, tf.zeros_like(count))), signs)]


def _batch_normalization(operation: Operation) -> list[Any]:
    """In inference; folded to one multiplication and one addition over the second axis."""
    import tensorflow as tf

    x, scale, bias, mean, variance = operation.inputs
    if operation.attribute("training_mode", 0) or not operation.attribute("spatial", 1):
        raise NotKnown("a BatchNormalization that learns")
    shape = [1, -1] + [1] * (rank_of(x) - 2)
    factor = scale / tf.sqrt(
        variance + tf.cast(operation.attribute("epsilon", 1e-5), variance.dtype)
    )
    offset = bias - mean * factor
    return [
        x * tf.cast(tf.reshape(factor, shape), x.dtype)
        + tf.cast(tf.reshape(offset, shape), x.dtype)
    ]


_UNARY = {
    "Abs": "abs",
    "Acos": "acos",
    "Acosh": "acosh",
    "Asin": "asin",
    "Asinh": "asinh",
    "Atan": "atan",
    "Atanh": "atanh",
    "Ceil": "math.ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Erf": "math.erf",
    "Exp": "exp",
    "Floor": "floor",
    "Identity": "identity",
    "IsNaN": "math.is_nan",
    "Log": "math.log",
    "Neg": "negative",
    "Not": "logical_not",
    "BitwiseNot": "bitwise.invert",
    "Reciprocal": "math.reciprocal",
    "Relu": "nn.relu",
    "Round": "round",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Softplus": "math.softplus",
    "Softsign": "nn.softsign",
    "Sqrt": "sqrt",
    "Tan": "tan",
    "Tanh": "tanh",
}
_BINARY = {
    "Add": "add",
    "And": "logical_and",
    "BitwiseAnd": "bitwise.bitwise_and",
    "BitwiseOr": "bitwise.bitwise_or",
    "BitwiseXor": "bitwise.bitwise_xor",
    "Equal": "equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Max": "maximum",
    "Min": "minimum",
    "Mul": "multiply",
    "Or": "logical_or",
    "Sub": "subtract",
    "Sum": "add",
    "Xor": "math.logical_xor",
}
LOWERINGS: dict[str, Lowering] = {
    **{op: _unary(name) for op, name in _UNARY.items()},
    **{op: _binary(name) for op, name in _BINARY.items()},
    "BatchNormalization": _batch_normalization,
    "BitShift": _shift,
    "Cast": _cast,
    "Celu": _celu,
    "Clip": _clip,
    "Div": _div,
    "Elu": _elu,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "IsInf": _is_inf,
    "LeakyRelu": _leaky_relu,
    "Mean": _mean,
    "Mish": _mish,
    "Mod": _mod,
    "PRelu": _prelu,
    "Pow": _pow,
    "Selu": _selu,
    "Shrink": _shrink,
    "Swish": _swish,
    "ThresholdedRelu": _thresholded_relu,
    "Where": _where,
}
