"""The curve of a training, as a run's record keeps it."""

from __future__ import annotations

from typing import Any

import msgspec


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """Figures after one pass over the rows; epoch 0 is before the first.

    loss: mean over the rows while they were trained on, for epoch 0 over those of the first step.
    validation_loss, validation_accuracy: mean over the validation rows, None where there are none, or
    where no prediction is right or wrong.
    settled: whether all views showed their final form, as a pruning after its schedule does.
    """

    epoch: int
    loss: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    seconds: float = 0.0
    settled: bool = True


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What a training did. kept: the epoch whose weights the result has."""

    rows: int = 0
    validation_rows: int = 0
    epochs: tuple[Epoch, ...] = ()
    kept: int = 0
    stopped_early: bool = False

    def to_dict(self) -> dict[str, Any]:
        data: dict[str, Any] = msgspec.to_builtins(self)
        return {**data, "summary": self.summary}

    @property
    def summary(self) -> str:
        """The training in one sentence."""
        last = self.epochs[-1].epoch if self.epochs else 0
        text = f"{last} epoch{'s' if last != 1 else ''} on {self.rows} rows"
        text += f" in {sum(epoch.seconds for epoch in self.epochs):.0f} s"
        if self.stopped_early or self.kept != last:
            text += f", the weights of epoch {self.kept} kept"
        kept = next((epoch for epoch in self.epochs if epoch.epoch == self.kept), None)
        if kept is None or kept.validation_loss is None:
            return text
        text += (
            f"; validation loss {self.epochs[0].validation_loss:.4g} -> {kept.validation_loss:.4g}"
        )
        first = self.epochs[0].validation_accuracy
        if kept.validation_accuracy is not None and first is not None:
            text += f", accuracy {first:.2%} -> {kept.validation_accuracy:.2%}"
        return text

    def best(self) -> Epoch | None:
        """The settled epoch of the lowest validation loss, the first of equals; None before there is one."""
        settled = [
            e for e in self.epochs if e.epoch and e.settled and e.validation_loss is not None
        ]
        return min(settled, key=lambda epoch: epoch.validation_loss or 0.0, default=None)
