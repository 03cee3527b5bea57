"""Means of absolute values, over many arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from taxiway.errors import StepError

Array = np.ndarray[Any, Any]


class Means:
    """The mean absolute value at each place along an axis, for each of several tensors."""

    def __init__(self, count: int) -> None:
        self._sums: list[Any] = [0.0] * count
        self._counts = [0] * count

    def add(self, at: int, values: Array, axis: int, where: str) -> None:
        """Values of tensor `at`. Raises StepError that names `where` if they are not all finite."""
        others = tuple(other for other in range(values.ndim) if other != axis % values.ndim)
        sums = np.abs(values.astype(np.float64)).sum(axis=others)
        if not np.isfinite(sums).all():
            raise StepError(
                f"what goes into layer '{where}' holds NaN or Inf on the samples",
                "look for NaN in the data and in the model",
            )
        self._sums[at] = self._sums[at] + sums
        self._counts[at] += values.size // max(len(sums), 1)

    def values(self) -> list[Array]:
        return [
            np.asarray(total) / max(count, 1)
            for total, count in zip(self._sums, self._counts, strict=True)
        ]
