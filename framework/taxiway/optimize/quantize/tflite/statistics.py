"""What is remembered of a tensor's values over many samples, in memory that does not grow with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BINS = 8192
"""Of a histogram over both signs: a sixteenth of a step of 8 bits, or less, each."""


class Statistic(Protocol):
    """Gets a tensor's values, any shape, feed by feed; never none, NaN or infinite ones."""

    def add(self, values: Array) -> None: ...

    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value that an integer must stand for."""
        ...


class Extremes:
    """The smallest and the largest value there was."""

    def __init__(self) -> None:
        self._low, self._high = float("inf"), float("-inf")

    def add(self, values: Array) -> None:
        self._low = min(self._low, float(values.min()))
        self._high = max(self._high, float(values.max()))

    def ends(self) -> tuple[float, float]:
        return self._low, self._high


class Percentiles:
    """The ends of the middle `share` percent of the values: what is beyond them is clipped, as much
    below as above (as ONNX Runtime's method of that name does).

    A histogram over [-limit, limit) whose bins double, two becoming one, whenever a value lies outside,
    so that samples are read once. Ends are exact to a bin, and never beyond the extremes.
    """

    def __init__(self, share: float) -> None:
        self._share, self._extremes = share, Extremes()
        self._width = 0.0
        self._counts: Any = None

    def add(self, values: Array) -> None:
        import numpy as np

        self._extremes.add(values)
        largest = float(np.abs(values).max())
        if self._counts is None:
            self._counts = np.zeros(BINS, np.int64)
        if self._width == 0:
            # Until a value is not zero all of them are in the first bin from zero on, of any width.
            self._width = 2 * largest / BINS * (1 + 1e-6)
        while largest >= self._width * BINS / 2 > 0:
            merged = self._counts.reshape(-1, 2).sum(1)
            self._counts = np.pad(merged, BINS // 4)
            self._width *= 2
        if self._width == 0:
            self._counts[BINS // 2] += values.size
            return
        bins = np.floor(values.reshape(-1) / self._width).astype(np.int64) + BINS // 2
        self._counts += np.bincount(bins.clip(0, BINS - 1), minlength=BINS)

    def ends(self) -> tuple[float, float]:
        import numpy as np

        low, high = self._extremes.ends()
        cumulative = np.cumsum(self._counts)
        out = cumulative[-1] * (1 - self._share / 100) / 2
        first = int(np.searchsorted(cumulative, out, side="right"))
        last = int(np.searchsorted(cumulative, cumulative[-1] - out, side="left"))
        lowest, highest = (first - BINS // 2) * self._width, (last + 1 - BINS // 2) * self._width
        return max(low, lowest), min(high, highest)
