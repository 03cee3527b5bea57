"""Pruning that grows while a network is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taxiway.optimize.prune.magnitude import PruneMagnitudeConfig
from taxiway.optimize.prune.ranking import masks_of
from taxiway.optimize.prune.units import units_of
from taxiway.optimize.prune.weights import PrunedWeight
from taxiway.optimize.training.mask import Mask
from taxiway.optimize.training.views import Read

Array = np.ndarray[Any, Any]

_LEVELS = 100
"""Times that masks are computed anew on the way, at most."""
_LEVEL = "level"


def sparsity_at(done: float, start: float, target: float, end: float) -> float:
    """Sparsity after a share `done` of all steps.

    A cubic from `start` to `target`, which is reached at `end` (M. Zhu and S. Gupta, "To prune, or not to
    prune", 2017, equation 1).
    """
    left = max(0.0, 1 - done / end)
    return target + (start - target) * left**3


class GradualMask(Mask):
    """Masks whose zeros grow with the schedule; what is zero stays zero."""

    def __init__(self, weights: Sequence[PrunedWeight], options: PruneMagnitudeConfig) -> None:
        super().__init__({weight.name: np.ones(weight.shape, bool) for weight in weights})
        self._pruned = weights
        self._options = options
        self._units = units_of(options.pattern, options.block)
        self._level = -1.0

    def advance(self, read: Read, done: float) -> None:
        """A mask is computed of what it shows, so that weights that are zero come first."""
        schedule, target = self._options.schedule, self._options.target
        level = sparsity_at(done, min(schedule.start, target), target, schedule.end)
        small = level - self._level < target / _LEVELS
        if level == self._level or (small and level < target):
            return
        masks = self.state()
        matrices = {
            weight.name: weight.matrix(read(weight.name) * masks[weight.name])
            for weight in self._pruned
        }
        found = masks_of(matrices, level, self._units, self._options.scope)
        self.assign({weight.name: weight.restored(found[weight.name]) for weight in self._pruned})
        self._level = level

    @property
    def settled(self) -> bool:
        return self._level >= self._options.target

    def state(self) -> dict[str, Array]:
        return {**super().state(), _LEVEL: np.array(self._level)}

    def restore(self, state: Mapping[str, Array]) -> None:
        self._level = float(state[_LEVEL])
        super().restore({name: mask for name, mask in state.items() if name != _LEVEL})
