"""The curve of a training, as a run's record keeps it."""

from __future__ import annotations

from typing import Any

import msgspec


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """Figures after one pass over the rows; epoch 0 is before the first.

    loss: mean over the rows while they were trained on. validation_loss, validation_accuracy: mean over
    the validation rows, None where there are none, or where no prediction is right or wrong.
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
        return data

    def best(self) -> Epoch | None:
        """The settled epoch of the lowest validation loss, the first of equals; None before there is one."""
        settled = [
            e for e in self.epochs if e.epoch and e.settled and e.validation_loss is not None
        ]
        return min(settled, key=lambda epoch: epoch.validation_loss or 0.0, default=None)
