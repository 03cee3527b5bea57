"""The values that 8-bit integers can hold, as TFLite's specification defines them.

https://ai.google.dev/edge/litert/models/quantization_spec: `real = (stored - zero_point) * scale`; weights are
symmetric, stored in -127..127 with zero point 0; activations are asymmetric over 256 steps, and 0.0 is always
one of them. Gradients pass straight through the rounding (Y. Bengio et al., "Estimating or Propagating
Gradients Through Stochastic Neurons", 2013), and end where a value is cut off (B. Jacob et al., 2018).
"""

from __future__ import annotations

from typing import Any

WEIGHT_STEPS = 127
"""Steps on each side of zero."""
ACTIVATION_STEPS = 255
SMALLEST = 2.0**-126
"""The least float32 that is divided by without loss; a finer grid counts as none."""


def rounded_weight(value: Any, channels: tuple[int, ...] = ()) -> Any:
    """`value`, a float `tf.Tensor`, on the symmetric grid of its largest magnitude.

    channels: axes along which each index has a scale of its own; empty for one scale.
    """
    import tensorflow as tf

    others = [axis for axis in range(value.shape.rank) if axis not in channels]
    limit = tf.reduce_max(tf.abs(value), axis=others, keepdims=True)
    scale = limit / WEIGHT_STEPS
    safe = tf.where(scale > SMALLEST, scale, tf.ones_like(scale))
    rounded = tf.round(value / safe) * safe
    return value + tf.stop_gradient(rounded - value)


def rounded_codebook(values: Any, zero: int | None = None) -> Any:
    """`values`, the shared values of one weight as a float `tf.Tensor` `[k]`, on its grid, no two on one step.

    The order is kept: a value whose step is taken gets the next one away from zero, so that a codebook keeps
    its size. zero: which of them is 0 and stays it. k is at most 128, so that each side of zero has room.
    """
    import tensorflow as tf

    scale = tf.reduce_max(tf.abs(values)) / WEIGHT_STEPS
    scale = tf.where(scale > SMALLEST, scale, tf.ones_like(scale))
    order = tf.argsort(values, stable=True)
    steps = tf.cast(tf.gather(tf.round(values / scale), order), tf.int32)
    nearness = -tf.abs(values)
    if zero is not None:
        nearness += tf.one_hot(zero, values.shape[0], dtype=values.dtype)
    fixed = tf.argmax(tf.gather(nearness, order), output_type=tf.int32)
    count = values.shape[0]
    at = tf.range(count)
    ahead = steps - (at - fixed)
    # Largest and smallest of all between the fixed one and each: few enough for a table of pairs.
    low, high = tf.minimum(at, fixed)[:, None], tf.maximum(at, fixed)[:, None]
    between = (at[None, :] >= low) & (at[None, :] <= high)
    upper = tf.reduce_max(tf.where(between, ahead[None, :], -(2**30)), 1) + (at - fixed)
    lower = tf.reduce_min(tf.where(between, ahead[None, :], 2**30), 1) + (at - fixed)
    apart = tf.where(at >= fixed, upper, lower)
    apart = tf.clip_by_value(apart, at - WEIGHT_STEPS, WEIGHT_STEPS - (count - 1 - at))
    found = tf.scatter_nd(order[:, None], apart, [count])
    return tf.cast(found, values.dtype) * scale


def rounded_activation(value: Any, low: Any, high: Any) -> Any:
    """`value`, a float `tf.Tensor`, on the 256 steps from `low` <= 0 to `high` >= 0, moved so that 0 is a step.

    An empty range leaves it as it is.
    """
    import tensorflow as tf

    scale = (high - low) / ACTIVATION_STEPS
    safe = tf.where(scale > SMALLEST, scale, tf.ones_like(scale))
    zero = tf.clip_by_value(tf.round(-low / safe), 0.0, float(ACTIVATION_STEPS))
    bottom, top = -zero * safe, (ACTIVATION_STEPS - zero) * safe
    inside = tf.clip_by_value(value, bottom, top)
    rounded = tf.clip_by_value(tf.round(value / safe) + zero, 0.0, float(ACTIVATION_STEPS))
    shown = inside + tf.stop_gradient((rounded - zero) * safe - inside)
    return tf.where(scale > SMALLEST, shown, value)
