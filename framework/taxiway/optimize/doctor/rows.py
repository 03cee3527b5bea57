"""What the samples themselves say: copies, near copies, classes, and values that no sample should have."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.optimize.doctor.noise import COLUMNS, ROWS, structure
from taxiway.plugins import Batch

Array = np.ndarray[Any, Any]
CELLS = 64
"""Averages that stand for a row in the search for near copies."""
LEAST = 0.05
"""Part of what all cells vary that each of them counts as varying, at least."""


@dataclass
class Rows:
    """What was seen of a split so far, in little memory however many rows come.

    digests: of each row, over all inputs. near: the same over a coarse picture of the row.
    blank: rows of which every input is one value all over.
    """

    split: str
    digests: list[bytes] = field(default_factory=list)
    near: list[bytes] = field(default_factory=list)
    labels: Counter[Any] = field(default_factory=Counter)
    blank: int = 0
    _kept: dict[str, list[Array]] = field(default_factory=dict)
    _moments: dict[str, Array] = field(default_factory=dict)
    _bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    _steps: dict[str, tuple[Array, Array]] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Raises StepError where a value is NaN or infinite."""
        arrays = {name: np.asarray(array) for name, array in batch.inputs.items()}
        count = len(next(iter(arrays.values())))
        for name, array in arrays.items():
            if array.dtype.kind in "fc":
                self._refuse_nan(name, array)
        flat = {
            name: array.reshape(count, -1)
            for name, array in arrays.items()
            if array.dtype.kind in "biuf"
        }
        blank = np.ones(count, bool)
        for name, rows in flat.items():
            self._measure(name, rows)
            blank &= (rows == rows[:, :1]).all(axis=1) if rows.shape[1] > 1 else False
        self.blank += int(blank.sum()) if flat else 0
        pictures = [self._coarse(name, flat[name]) for name in sorted(flat)]
        for row in range(count):
            whole = hashlib.blake2b(digest_size=16)
            for name in sorted(arrays):
                content = arrays[name][row]
                text = content.dtype.kind in "OUS"
                whole.update(
                    repr(content).encode() if text else np.ascontiguousarray(content).tobytes()
                )
            self.digests.append(whole.digest())
            coarse = b"".join(picture[row].tobytes() for picture in pictures)
            self.near.append(hashlib.blake2b(coarse, digest_size=16).digest())
        if batch.labels is not None and batch.labels.ndim == 1:
            self.labels.update(batch.labels.tolist())

    def __len__(self) -> int:
        return len(self.digests)

    def _refuse_nan(self, name: str, array: Array) -> None:
        bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        if bad.any():
            row = len(self) + int(np.argmax(bad))
            raise StepError(
                f"row {row} of split '{self.split}' has NaN or infinite values in input '{name}'",
                "take such rows out of the data: a range that they set is none",
            )

    def _measure(self, name: str, rows: Array) -> None:
        kept = self._kept.setdefault(name, [])
        if sum(map(len, kept)) < ROWS and rows.shape[1]:
            kept.append(_fewer(rows).astype(np.float32))
        real = rows.astype(np.float64)
        sums = np.array([real.size, real.sum(), np.square(real).sum()])
        self._moments[name] = self._moments.get(name, np.zeros(3)) + sums
        low, high = self._bounds.get(name, (np.inf, -np.inf))
        if real.size:
            low, high = min(low, float(real.min())), max(high, float(real.max()))
        self._bounds[name] = (low, high)

    def _coarse(self, name: str, rows: Array) -> Array:
        """The rows as averages of a few cells, in steps of half of what a cell varies in the first batch."""
        if not rows.shape[1]:
            return np.zeros((len(rows), 0), np.int8)
        starts = np.unique(np.linspace(0, rows.shape[1], CELLS, endpoint=False).astype(int))
        sums = np.add.reduceat(rows.astype(np.float32), starts, axis=1)
        means = sums / np.diff([*starts, rows.shape[1]])
        if name not in self._steps:
            varies = means.std(axis=0)
            floor = max(LEAST * float(means.std()), 1e-12)
            self._steps[name] = (means.mean(axis=0), np.maximum(varies, floor) / 2)
        middle, step = self._steps[name]
        return np.rint((means - middle) / step).clip(-128, 127).astype(np.int8)

    @property
    def copies(self) -> int:
        """Rows that are a copy of an earlier one."""
        return len(self.digests) - len(set(self.digests))

    @property
    def near_copies(self) -> int:
        """Rows that look like an earlier one from afar, and are no copy."""
        return len(self.near) - len(set(self.near)) - self.copies

    def structures(self, rows: int | None = None) -> dict[str, float]:
        """Input -> how far its first rows are from noise, which is 1; inputs of which nothing can be said
        are left out."""
        found = {
            name: structure(np.concatenate(kept)[:rows])
            for name, kept in self._kept.items()
            if kept
        }
        return {name: value for name, value in found.items() if value is not None}

    def spreads(self) -> dict[str, tuple[float, float, float, float]]:
        """Input -> mean, standard deviation, smallest and largest value."""
        return {
            name: (s / n, max(q / n - (s / n) ** 2, 0.0) ** 0.5, *self._bounds[name])
            for name, (n, s, q) in self._moments.items()
            if n
        }


def _fewer(rows: Array) -> Array:
    """What `structure` needs of wide rows: neighbours in the middle, and columns from everywhere."""
    d = rows.shape[1]
    if d <= 4 * COLUMNS:
        return rows
    middle = (d - 2 * COLUMNS) // 2
    ends = np.linspace(0, d - 1, 2 * COLUMNS).astype(int)
    chosen = np.concatenate(
        [ends[:COLUMNS], np.arange(middle, middle + 2 * COLUMNS), ends[COLUMNS:]]
    )
    return rows[:, chosen]


def leaked(given: Rows, other: Rows) -> int:
    """Rows of `given` that `other` has, too."""
    known = set(other.digests)
    return sum(digest in known for digest in given.digests)


def plain_labels(labels: Mapping[Any, int]) -> dict[str, int]:
    """Class -> rows, the most frequent first."""
    return {str(name): count for name, count in sorted(labels.items(), key=lambda item: -item[1])}
