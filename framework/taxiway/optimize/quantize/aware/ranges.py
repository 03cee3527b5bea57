"""The ranges of activations: watched before the training, moved along during it.

Extremes of each batch go into a moving average (B. Jacob et al., 2018, section 3.1), as a calibration of fewer
rows than the training finds them; ranges that grow at once and fall slowly trained worse (see
docs/passes/quantization_aware.md). They are not fixed at the end: the falling learning rate does that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from taxiway.optimize.quantize.aware.grid import rounded_activation
from taxiway.optimize.training.config import Training
from taxiway.optimize.training.split_rows import training_rows
from taxiway.plugins import Context

if TYPE_CHECKING:
    from taxiway.optimize.quantize.aware.network import Rounding

MOMENTUM = 0.99
"""Weight of the past in the moving ranges."""
OBSERVED_ROWS = 512
"""Rows whose extremes are the ranges at the start."""


class Range(keras.layers.Layer):  # type: ignore[misc]
    """Shows float activations of any shape on 256 steps of the range seen so far; 0 is in the range.

    observing: widen the range to what comes and show it as it is; not to be traced.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(trainable=False, **more)
        self.supports_masking = True
        self.observing = False

    def build(self, shape: Any) -> None:
        for name in ("low", "high"):
            weight = self.add_weight(
                shape=(), initializer="zeros", dtype="float32", trainable=False, name=name
            )
            setattr(self, name, weight)

    def call(self, inputs: Any, training: bool = False) -> Any:
        value = tf.cast(inputs, tf.float32)
        if self.observing:
            self._set(tf.minimum(self.low, _low(value)), tf.maximum(self.high, _high(value)))
            return inputs
        low, high = tf.convert_to_tensor(self.low), tf.convert_to_tensor(self.high)
        if training:
            low = MOMENTUM * low + (1 - MOMENTUM) * _low(value)
            high = MOMENTUM * high + (1 - MOMENTUM) * _high(value)
            self._set(low, high)
        return tf.cast(rounded_activation(value, low, high), inputs.dtype)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape

    def _set(self, low: Any, high: Any) -> None:
        self.low.assign(low)
        self.high.assign(high)


def _low(value: Any) -> Any:
    return tf.minimum(tf.stop_gradient(tf.reduce_min(value)), 0.0)


def _high(value: Any) -> Any:
    return tf.maximum(tf.stop_gradient(tf.reduce_max(value)), 0.0)


def observe(rounding: Rounding, training: Training, context: Context) -> None:
    """Set the ranges to the extremes of the first rows of the training."""
    if not rounding.ranges:
        return
    rows = training_rows(rounding.network, training, context)
    left = OBSERVED_ROWS
    for layer in rounding.ranges:
        layer.observing = True
    for batch in rows.train.in_order(rows.batch):
        if rows.fixed and len(batch) < rows.batch:
            break
        rounding.call(batch.inputs)
        left -= len(batch)
        if left <= 0:
            break
    for layer in rounding.ranges:
        layer.observing = False
