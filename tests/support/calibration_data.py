"""Splits in memory, and pictures to fill them with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.plugins import Batch, Selection

Array = np.ndarray[Any, Any]


@dataclass
class Splits:
    """Split -> inputs; labels where given; keeps the largest batch that was read."""

    inputs: Mapping[str, Mapping[str, Array]]
    labels: Mapping[str, Array] = field(default_factory=dict)
    class_names: tuple[str, ...] | None = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    largest: int = 0

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.inputs)

    def count(self, selection: Selection) -> int:
        if selection.labels and selection.split not in self.labels:
            raise StepError(f"split '{selection.split}' has no labels")
        rows = len(next(iter(self.inputs[selection.split].values())))
        return rows if selection.samples is None else min(rows, selection.samples)

    def fingerprint(self, selection: Selection) -> str:
        return "fixed"

    def batches(self, selection: Selection, size: int) -> Iterator[Batch]:
        count = self.count(selection)
        for start in range(0, count, size):
            stop = min(start + size, count)
            self.largest = max(self.largest, stop - start)
            rows = {n: a[start:stop] for n, a in self.inputs[selection.split].items()}
            labels = self.labels[selection.split][start:stop] if selection.labels else None
            yield Batch(rows, labels)


def pictures(count: int, seed: int = 0, size: int = 12) -> Array:
    """Blobs on a dark ground [n, 1, size, size], brighter ones further on; no two alike."""
    random = np.random.default_rng(seed)
    axis = np.arange(size)
    x, y = random.uniform(3, size - 3, (2, count, 1, 1))
    blobs = np.exp(-((axis - x) ** 2 + (axis[:, None] - y) ** 2) / 6)
    return (blobs * random.uniform(0.5, 1, (count, 1, 1)))[:, None].astype(np.float32)
