"""When a training is stopped because it makes the network worse instead of better."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from taxiway.errors import StepError

WINDOW = 20
"""Steps whose mean loss is watched within an epoch."""
SOARED, WORSE = 10.0, 1.5
"""How far above the limit the mean of a window, or of an epoch, may be."""


class Watch:
    """Tells a training that diverges.

    The limit is what the network lost before the first step, or what the best constant guess loses, where
    that is more: a pass may take a trained network apart for a while, as pruning does, yet no sound
    training ends above a guess. It has diverged where the loss is not finite, where the mean of 20 steps
    is above 10 limits, where the mean of an epoch is above 1.5 limits (10 where the loss of a guess is not
    known), and where a network that was better than a guess by half ends worse than it.
    """

    def __init__(
        self, starts: Sequence[float], chance: float | None, epochs: int, learning_rate: float
    ) -> None:
        """starts: losses before the first step, of validation rows and of the first step."""
        self.limit = max(*starts, chance or 0.0, 1e-6)
        self._worse = SOARED if chance is None else WORSE
        self._collapsed = chance if chance is not None and max(starts) < chance / 2 else None
        self._epochs, self._learning_rate = epochs, learning_rate
        self._window: deque[float] = deque(maxlen=WINDOW)

    def step(self, loss: float, epoch: int, step: int) -> None:
        """Raise StepError where the training has diverged at this step; both count from 1."""
        self._window.append(loss)
        mean = sum(self._window) / len(self._window)
        if not math.isfinite(loss):
            raise self.diverged(f"the loss is {loss} at step {step} of epoch {epoch}")
        if len(self._window) == WINDOW and mean > SOARED * self.limit:
            raise self.diverged(
                f"the loss of the last {WINDOW} steps is {mean:.4g} at step {step} of epoch {epoch}, "
                f"{self._limit_shown}"
            )

    def epoch(self, loss: float, epoch: int) -> None:
        """Raise StepError where the training has diverged in this epoch. loss: its mean."""
        collapsed = epoch == self._epochs and self._collapsed and loss > self._collapsed
        if collapsed or loss > self._worse * self.limit:
            raise self.diverged(f"the loss of epoch {epoch} is {loss:.4g}, {self._limit_shown}")

    def diverged(self, what: str) -> StepError:
        return StepError(
            f"the training diverged: {what}",
            f"training.learning_rate={self._learning_rate / 10:g}",
        )

    @property
    def _limit_shown(self) -> str:
        return f"a constant guess or the network before it loses {self.limit:.4g}"
