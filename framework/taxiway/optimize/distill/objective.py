"""The loss of a distillation: what the teacher says, what labels say, and hints for inner layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from taxiway.optimize.distill.soft_targets import SoftTarget
from taxiway.optimize.training.objective import Objective, Tensors, per_row
from taxiway.optimize.training.rows import Rows

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class Answers(Protocol):
    """What a teacher says about rows: for each soft target, then for each hint, `[n, ...]` float32."""

    def answer(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]: ...


@dataclass(frozen=True)
class Hints:
    """Inner layers in the loss, which follow the network's own outputs.

    outputs: how many outputs come before them. weight: of their mean. squares: the teacher's mean square
    of each, by which its error is divided.
    """

    outputs: int = 0
    weight: float = 0.0
    squares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Distillation:
    """`alpha` of the labels' loss, the rest of the teacher's, and the hints beside them.

    labels: None where alpha is 0. The teacher's part is the mean over `targets`.
    """

    teacher: Answers | None
    targets: tuple[SoftTarget, ...]
    labels: Objective | None
    alpha: float
    temperature: float
    hints: Hints = Hints()

    def check(self, rows: Rows) -> None:
        if self.labels:
            self.labels.check(rows)

    def extras(self, rows: Rows) -> tuple[Array, ...]:
        return () if self.teacher is None else self.teacher.answer(rows.inputs)

    def loss(self, outputs: Sequence[Any], rows: Tensors) -> Any:
        import tensorflow as tf

        loss = tf.zeros(tf.shape(rows.index), tf.float32)
        if self.labels:
            loss += self.alpha * self.labels.loss(outputs, rows)
        if self.alpha < 1:
            said = rows.extras[: len(self.targets)]
            loss += (1 - self.alpha) * self._soft(outputs, said)
        if self.hints.squares:
            wanted = rows.extras[len(self.targets) :]
            found = outputs[self.hints.outputs :]
            errors = [
                per_row(tf.square(ours - theirs)) / square
                for ours, theirs, square in zip(found, wanted, self.hints.squares, strict=True)
            ]
            loss += self.hints.weight * tf.add_n(errors) / len(errors)
        return loss

    def correct(self, outputs: Sequence[Any], rows: Tensors) -> Any | None:
        """Against labels, where there are any: agreeing with the teacher is no accuracy."""
        return self.labels.correct(outputs, rows) if self.labels else None

    def chance(self, rows: Rows) -> float | None:
        """What a network loses that always gives the teacher's mean answer, and hints of zero."""
        import tensorflow as tf

        of_labels = self.labels.chance(rows) if self.labels else 0.0
        if of_labels is None:
            return None
        loss = self.alpha * of_labels + (self.hints.weight if self.hints.squares else 0.0)
        if self.alpha < 1:
            said = self.extras(rows)[: len(self.targets)]
            guesses = {
                target.output: tf.repeat(target.guess(array), len(rows), axis=0)
                for target, array in zip(self.targets, said, strict=True)
            }
            outputs = [guesses.get(at) for at in range(max(guesses) + 1)]
            loss += (1 - self.alpha) * float(tf.reduce_mean(self._soft(outputs, said)))
        return float(loss)

    def _soft(self, outputs: Sequence[Any], said: Sequence[Any]) -> Any:
        import tensorflow as tf

        losses = [
            target.loss(outputs, array, self.temperature)
            for target, array in zip(self.targets, said, strict=True)
        ]
        return tf.add_n(losses) / len(losses)
