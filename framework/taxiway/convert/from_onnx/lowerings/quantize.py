"""QuantizeLinear and DequantizeLinear in real numbers: exact, though not fast."""

from __future__ import annotations

from typing import Any

from taxiway.convert.from_onnx.lowerings.operation import Lowering, NotKnown, Operation, rank_of

_STORED = ("int8", "uint8", "int16", "uint16", "int32")


def _along(parameter: Any, x: Any, axis: int) -> Any:
    """A parameter for each slice of `axis`, shaped to broadcast; one for all stays as it is."""
    import tensorflow as tf

    rank = rank_of(x)
    if rank_of(parameter) == 0 or parameter.shape == (1,):
        return tf.reshape(parameter, [])
    if rank_of(parameter) != 1:
        raise NotKnown("scales for blocks")
    return tf.reshape(parameter, [-1 if at == axis % rank else 1 for at in range(rank)])


def _dequantize(operation: Operation) -> list[Any]:
    import tensorflow as tf

    x, scale = operation.inputs[:2]
    axis = operation.attribute("axis", 1)
    real = tf.cast(x, scale.dtype)
    zero = operation.input(2)
    if zero is not None:
        real -= _along(tf.cast(zero, scale.dtype), x, axis)
    return [real * _along(scale, x, axis)]


def _quantize(operation: Operation) -> list[Any]:
    """Rounds half to even, then saturates."""
    import tensorflow as tf

    x, scale = operation.inputs[:2]
    axis = operation.attribute("axis", 1)
    zero = operation.input(2)
    stored = tf.uint8 if zero is None else tf.as_dtype(zero.dtype)
    if stored.name not in _STORED:
        raise NotKnown(f"{stored.name} as the stored type")
    steps = tf.round(x / _along(scale, x, axis))
    if zero is not None:
        steps += _along(tf.cast(zero, x.dtype), x, axis)
    return [tf.cast(tf.clip_by_value(steps, float(stored.min), float(stored.max)), stored)]


LOWERINGS: dict[str, Lowering] = {
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
}
