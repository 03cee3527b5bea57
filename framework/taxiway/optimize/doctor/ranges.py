"""How the range of each tensor grows with the samples, and where it stops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SHARE = 0.9
"""Of the tensors that must have stopped: a few rare ones move for ever."""


class Ranges:
    """The smallest and the largest value of every tensor after each batch of samples.

    add: gets the extremes of one batch, one per tensor. The curve is in the order of the samples.
    """

    def __init__(self, tensors: Sequence[str]) -> None:
        self.tensors = tuple(tensors)
        self._counts: list[int] = []
        self._lows: list[Array] = []
        self._highs: list[Array] = []

    def add(self, samples: int, low: Array, high: Array) -> None:
        before = self._counts[-1] if self._counts else 0
        if self._lows:
            low, high = np.minimum(low, self._lows[-1]), np.maximum(high, self._highs[-1])
        self._counts.append(before + samples)
        self._lows.append(low)
        self._highs.append(high)

    @property
    def samples(self) -> int:
        return self._counts[-1] if self._counts else 0

    def at(self, samples: int) -> tuple[Array, Array]:
        """Smallest and largest value of each tensor on the first samples, up to the batch that holds the
        last of them."""
        place = int(np.searchsorted(self._counts, samples))
        place = min(place, len(self._counts) - 1)
        return self._lows[place], self._highs[place]

    def settled(self, share: float) -> Array:
        """For each tensor the number of samples after which it has `share` of its whole width."""
        widths = np.stack([h - low for low, h in zip(self._lows, self._highs, strict=True)])
        reached = widths >= share * widths[-1]
        settled: Array = np.asarray(self._counts)[np.argmax(reached, axis=0)]
        return settled

    def settled_at(self, share: float) -> int:
        """Samples after which SHARE of the tensors have `share` of their width."""
        return int(np.quantile(self.settled(share), SHARE, method="higher"))

    def curve(self, share: float) -> list[tuple[int, float]]:
        """(samples, part of the tensors that are settled), at most 16 points."""
        settled = self.settled(share)
        chosen = np.unique(np.linspace(0, len(self._counts) - 1, 16).astype(int))
        counts = [self._counts[place] for place in chosen]
        return [(count, round(float((settled <= count).mean()), 4)) for count in counts]
