"""What a training minimizes, row by row; the default follows from the network's output and the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from taxiway.errors import StepError
from taxiway.optimize.training.rows import Rows

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Tensors:
    """Rows inside the graph of a step: `tf.Tensor`s of the same meaning as in `Rows`.

    extras: what the objective's `extras` gave for these rows.
    """

    inputs: tuple[Any, ...]
    labels: Any | None
    index: Any
    extras: tuple[Any, ...] = ()


class Objective(Protocol):
    """A loss and, where there is one, what counts as correct.

    `outputs` are the network's, flat, in the order of its signature, each `[n, ...]`.
    """

    def check(self, rows: Rows) -> None:
        """Raise StepError where labels do not fit. Called for every batch, with NumPy arrays."""

    def extras(self, rows: Rows) -> tuple[Array, ...]:
        """Further arrays `[n, ...]` for these rows, such as a teacher's outputs; always as many."""

    def loss(self, outputs: Sequence[Any], rows: Tensors) -> Any:
        """Loss of each row, `[n]` float32; traced into the graph of a step."""

    def correct(self, outputs: Sequence[Any], rows: Tensors) -> Any | None:
        """1.0 for each row that is predicted rightly, `[n]`; None where that means nothing."""

    def chance(self, rows: Rows) -> float | None:
        """Loss of the best constant guess, by which divergence is told; None where it is not known."""


Activation = Literal["softmax", "sigmoid", "none"]


@dataclass(frozen=True)
class Classification:
    """Cross entropy of integer labels `[n]`.

    output: position of the scores. classes: how many; 1 for a single score of class 1 of two.
    activation: the last one of the network; none means logits. Sigmoids over several classes are
    trained one against the rest.
    """

    output: int
    classes: int
    activation: Activation

    def check(self, rows: Rows) -> None:
        import numpy as np

        labels, highest = rows.labels, max(self.classes, 2) - 1
        assert labels is not None
        if labels.dtype.kind not in "biu":
            raise StepError(
                f"labels have dtype {labels.dtype}, expected integers 0..{highest}: the network gives "
                f"{_scores(self.classes)}",
                "store class numbers as integers",
            )
        if len(labels) and not 0 <= int(np.min(labels)) <= int(np.max(labels)) <= highest:
            wrong = labels[(labels < 0) | (labels > highest)]
            raise StepError(
                f"a label is {int(wrong.flat[0])}, expected 0..{highest}: the network gives "
                f"{_scores(self.classes)}",
                "number the classes as the model's scores are; store targets of a regression as floats",
            )

    def extras(self, rows: Rows) -> tuple[Array, ...]:
        return ()

    def loss(self, outputs: Sequence[Any], rows: Tensors) -> Any:
        import keras
        import tensorflow as tf

        scores, labels = self._scores(outputs, rows.labels)
        logits = self.activation == "none"
        if self.classes > 1 and self.activation != "sigmoid":
            # Keras takes the logits of a softmax out of the graph, which keeps small gradients.
            each = keras.losses.sparse_categorical_crossentropy(labels, scores, from_logits=logits)
        else:
            if self.classes > 1:
                labels = tf.one_hot(labels, self.classes)
            elif scores.shape.rank > labels.shape.rank:
                labels = labels[..., None]
            each = keras.losses.binary_crossentropy(
                tf.cast(labels, scores.dtype), scores, from_logits=logits
            )
            each = each * max(self.classes, 1)
        return per_row(each)

    def correct(self, outputs: Sequence[Any], rows: Tensors) -> Any:
        import tensorflow as tf

        scores, labels = self._scores(outputs, rows.labels)
        if self.classes > 1:
            right = tf.argmax(scores, axis=-1, output_type=labels.dtype) == labels
        else:
            threshold = 0.0 if self.activation == "none" else 0.5
            right = (tf.reshape(scores, tf.shape(labels)) > threshold) == (labels > 0)
        return per_row(tf.cast(right, tf.float32))

    def chance(self, rows: Rows) -> float:
        import math

        if self.classes > 1 and self.activation == "sigmoid":
            share = 1 / self.classes
            guess = -(share * math.log(share) + (1 - share) * math.log(1 - share))
            return self.classes * guess
        return math.log(max(self.classes, 2))

    def _scores(self, outputs: Sequence[Any], labels: Any) -> tuple[Any, Any]:
        """Scores without axes of size one between rows and classes, and labels as int64."""
        import tensorflow as tf

        scores = outputs[self.output]
        if all(n == 1 for n in labels.shape[1:]):
            labels = tf.reshape(labels, [-1])
        if scores.shape.rank > labels.shape.rank + 1 and all(n == 1 for n in scores.shape[1:-1]):
            scores = tf.reshape(scores, [-1, scores.shape[-1]])
        return scores, tf.cast(labels, tf.int64)


@dataclass(frozen=True)
class Regression:
    """Mean squared error of real labels, `[n]` or of the output's shape."""

    output: int
    shape: tuple[int | None, ...]

    def check(self, rows: Rows) -> None:
        import numpy as np

        labels = rows.labels
        assert labels is not None
        if labels.dtype.kind != "f":
            raise StepError(f"labels have dtype {labels.dtype}, expected real numbers")
        if not np.isfinite(labels).all():
            raise StepError("a label is not finite (NaN or infinite)", "remove such rows")
        values = [axis for axis in self.shape[1:] if axis != 1]
        if [axis for axis in labels.shape[1:] if axis != 1] != values and None not in values:
            raise StepError(
                f"labels have shape {list(labels.shape[1:])} per row, the output has "
                f"{list(self.shape[1:])}",
                "give one target for each value of the output, or name another one: training.output",
            )

    def extras(self, rows: Rows) -> tuple[Array, ...]:
        return ()

    def loss(self, outputs: Sequence[Any], rows: Tensors) -> Any:
        import tensorflow as tf

        found = tf.cast(outputs[self.output], tf.float32)
        return per_row(
            tf.square(found - tf.reshape(tf.cast(rows.labels, tf.float32), tf.shape(found)))
        )

    def correct(self, outputs: Sequence[Any], rows: Tensors) -> None:
        return None

    def chance(self, rows: Rows) -> float:
        import numpy as np

        assert rows.labels is not None
        return float(np.var(np.asarray(rows.labels, np.float64), axis=0).mean())


def per_row(values: Any) -> Any:
    """The mean over every axis but the first, `[n]` float32."""
    import tensorflow as tf

    values = tf.cast(values, tf.float32)
    return tf.reduce_mean(tf.reshape(values, [tf.shape(values)[0], -1]), axis=1)


def default_objective(network: Any, rows: Rows, output: str | None = None) -> Objective:
    """The objective that a network's output and some of its labels ask for.

    Integers: cross entropy, of logits where the network ends without softmax or sigmoid. Real numbers: mean
    squared error, for a softmax an error. output: which one the labels are of; None: the first that gives
    real numbers. Raises StepError where labels and output do not fit.
    """
    from taxiway.model.inspect import keras_signature
    from taxiway.optimize.training.last_activation import last_activation

    specs = keras_signature(network).outputs
    names = [spec.name for spec in specs]
    if output is None:
        at = next((at for at, spec in enumerate(specs) if "float" in spec.dtype), 0)
    elif output in names or len(names) == 1:
        at = names.index(output) if output in names else 0
    else:
        raise StepError(
            f"the network has no output '{output}'",
            f"set training.output to one of: {', '.join(names)}",
        )
    if rows.labels is None:
        raise StepError(
            "a training needs labels", "training.epochs=0 does without, where a pass can"
        )
    activation = last_activation(network, at)
    shape = tuple(axis if isinstance(axis, int) else None for axis in specs[at].shape)
    positions = [axis for axis in rows.labels.shape[1:] if axis != 1]
    soft = activation == "sigmoid" and positions
    if rows.labels.dtype.kind == "f" and (activation == "none" or soft):
        return Regression(at, shape)
    classes = shape[-1] if len(shape) > 1 else 1
    if classes is None or any(axis != 1 for axis in shape[1 : len(shape) - 1 - len(positions)]):
        raise StepError(
            f"labels have shape {list(rows.labels.shape[1:])} per row, output '{names[at]}' has "
            f"{list(shape[1:])}: that is no score per class",
            f"name the output that the labels are of: training.output={names[-1]}"
            if len(names) > 1
            else "use training.epochs=0, where a pass can do without training",
        )
    return Classification(at, classes, activation)


def _scores(classes: int) -> str:
    return "one score for two classes" if classes == 1 else f"scores of {classes} classes"
