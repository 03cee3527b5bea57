"""The view of a weight that will be stored as 8-bit integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taxiway.optimize.quantize.aware.grid import rounded_weight
from taxiway.optimize.training.views import View


class RoundedWeights(View):
    """Shows each weight on the grid that its integers will have; gradients pass through the rounding."""

    def __init__(self, channels: Mapping[str, tuple[int, ...]]) -> None:
        """channels: weight name -> axes that have scales of their own, empty for one scale."""
        self.weights = tuple(channels)
        self._channels = dict(channels)

    def see(self, weight: str, value: Any) -> Any:
        return rounded_weight(value, self._channels[weight])
