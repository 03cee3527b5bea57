"""What a teacher's output says, and how far a student is from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Activation = Literal["softmax", "sigmoid", "none"]
_SMALLEST = {"softmax": 1e-37, "sigmoid": 1e-7}
"""Probabilities below it are taken for it: float32 has no logarithm of what it rounds to 0, or to 1."""


@dataclass(frozen=True)
class SoftTarget:
    """One output that the student learns from the teacher.

    output: its position. activation: what both networks end it with. kind: softmax compares
    distributions over the last axis, sigmoid each value by itself, values the numbers as they are.
    """

    output: int
    activation: Activation
    kind: Literal["softmax", "sigmoid", "values"]

    def said(self, outputs: Sequence[Any]) -> Any:
        """What the teacher says, as `loss` takes it: logits, or values; float32, inside a graph."""
        import tensorflow as tf

        return tf.cast(self._compared(outputs[self.output]), tf.float32)

    def loss(self, outputs: Sequence[Any], said: Any, temperature: float) -> Any:
        """Loss of each row, `[n]`: KL divergence at the temperature times its square, so that the
        gradient's size does not depend on it (Hinton, Vinyals, Dean 2015); or the mean squared error."""
        import tensorflow as tf

        found = tf.cast(self._compared(outputs[self.output]), tf.float32)
        if self.kind == "values":
            return _mean(tf.square(found - said))
        ours, theirs = found / temperature, said / temperature
        if self.kind == "softmax":
            each = tf.nn.softmax(theirs) * (tf.nn.log_softmax(theirs) - tf.nn.log_softmax(ours))
        else:
            p = tf.sigmoid(theirs)
            each = tf.nn.sigmoid_cross_entropy_with_logits(p, ours)
            each -= tf.nn.sigmoid_cross_entropy_with_logits(p, theirs)
        return _mean(tf.reduce_sum(each, axis=-1)) * temperature**2

    def guess(self, said: Array) -> Array:
        """The output of a network that always says the mean of these rows, `[1, ...]`."""
        import tensorflow as tf

        if self.kind == "values":
            guess: Array = said.mean(axis=0, keepdims=True)
            return guess
        squash, back = (
            (tf.nn.softmax, tf.math.log)
            if self.kind == "softmax"
            else (tf.sigmoid, lambda p: tf.math.log(p) - tf.math.log1p(-p))
        )
        mean = tf.reduce_mean(squash(said), axis=0, keepdims=True)
        # `loss` takes what the network gives: probabilities where it ends with an activation.
        guess = (mean if self.activation != "none" else back(mean)).numpy()
        return guess

    def _compared(self, output: Any) -> Any:
        return output if self.kind == "values" else logits(output, self.activation)


def logits(output: Any, activation: Activation) -> Any:
    """Scores whose softmax or sigmoid `output` is.

    They are taken from before the activation where the graph shows it, which keeps what small
    probabilities say; else they are made from the probabilities: log p is a valid logit vector.
    """
    import tensorflow as tf

    if activation == "none":
        return output
    operation = (
        None if isinstance(output, tf.Variable) or not tf.is_symbolic_tensor(output) else output.op
    )
    if operation is not None and operation.type.lower() == activation:
        return operation.inputs[0]
    p = tf.maximum(output, _SMALLEST[activation])
    if activation == "softmax":
        return tf.math.log(p)
    p = tf.minimum(p, 1 - _SMALLEST[activation])
    return tf.math.log(p) - tf.math.log1p(-p)


def _mean(values: Any) -> Any:
    """Over all axes but the first."""
    import tensorflow as tf

    return tf.reduce_mean(tf.reshape(values, [tf.shape(values)[0], -1]), axis=1)
