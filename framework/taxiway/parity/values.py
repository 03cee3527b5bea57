"""The tensors of a model on given inputs, kept on disk and found again by their content."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from taxiway.parity.layout import Layout, layouts
from taxiway.parity.relative import Deviation, deviation

Array = np.ndarray[Any, Any]
_SMALL = 4096
"""Bytes up to which a tensor is kept in memory."""
_PROBES = 256
"""Elements compared before the whole."""


class Print(NamedTuple):
    """What no reordering of the elements changes."""

    size: int
    norm: float
    total: float
    low: float
    high: float


class Match(NamedTuple):
    """A stored tensor that equals another one in some layout, and how far it is from it."""

    name: str
    layout: Layout
    error: float


def _print(value: Array) -> Print | None:
    if value.dtype.kind not in "biufV" or not value.size:
        return None
    wide = value.astype(np.float64).reshape(-1)
    if not np.all(np.isfinite(wide)):
        wide = np.where(np.isfinite(wide), wide, 0)
    return Print(
        wide.size,
        float(np.sqrt(np.dot(wide, wide))),
        float(wide.sum()),
        float(wide.min()),
        float(wide.max()),
    )


class Values:
    """Arrays by tensor name in the order they were added."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._kept: dict[str, Array | Path] = {}
        self._prints: dict[str, Print] = {}
        self._by_size: dict[int, list[tuple[float, str]]] = {}

    def add(self, name: str, value: Array) -> None:
        if name in self._kept:
            return
        if value.nbytes <= _SMALL or value.dtype.kind not in "biufc":
            self._kept[name] = value.copy()
        else:
            path = self._folder / f"{len(self._kept)}.npy"
            np.save(path, value, allow_pickle=False)
            self._kept[name] = path
        mark = _print(value)
        if mark is not None:
            self._prints[name] = mark
            bisect.insort(self._by_size.setdefault(mark.size, []), (mark.norm, name))

    def fill(self, pairs: Iterable[tuple[str, Array]]) -> None:
        for name, value in pairs:
            self.add(name, value)

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __getitem__(self, name: str) -> Array:
        kept = self._kept[name]
        if isinstance(kept, Path):
            array: Array = np.load(kept, mmap_mode="r", allow_pickle=False)
            return array
        return kept

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self[name].shape)

    def of_size(self, size: int) -> list[str]:
        """Names of the tensors with so many elements."""
        return [name for _, name in self._by_size.get(size, [])]

    def matches(self, value: Array, bound: Deviation) -> Iterator[Match]:
        """The tensors that hold the elements of `value` in some layout, up to a relative error.

        Any reordering keeps the norm, and moves sum and extremes by no more than the norm of the
        difference allows (Cauchy-Schwarz), so that few tensors are compared as a whole.
        """
        mark = _print(value)
        if mark is None:
            return
        group = self._by_size.get(mark.size, [])
        # A tensor of many equal elements matches in norm only; 2 covers both error measures.
        slack = 2 * bound.whole * mark.norm + 1e-300
        start = bisect.bisect_left(group, (mark.norm - slack, ""))
        for norm, name in group[start:]:
            if norm > mark.norm + slack:
                break
            other = self._prints[name]
            near = (
                abs(other.total - mark.total) <= slack * np.sqrt(mark.size)
                and abs(other.low - mark.low) <= slack
                and abs(other.high - mark.high) <= slack
            )
            if near:
                found = self.compare(name, value, bound)
                if found is not None:
                    yield found

    def compare(self, name: str, value: Array, bound: Deviation) -> Match | None:
        """Whether the tensor `name` equals `value` in a layout, the most usual one first."""
        stored = self[name]
        probes = np.linspace(0, value.size - 1, min(value.size, _PROBES)).astype(np.int64)
        mark = self._prints.get(name)
        allowed = bound.whole * (mark.norm if mark else 0.0)
        flat = np.asarray(value.reshape(-1)[probes], np.float64)
        for layout in layouts(tuple(stored.shape), tuple(value.shape)):
            arranged = layout.arrange(stored, tuple(value.shape))
            if layout.plain:
                near = np.asarray(arranged.reshape(-1)[probes], np.float64)
            else:
                near = np.asarray(arranged[np.unravel_index(probes, arranged.shape)], np.float64)
            with np.errstate(invalid="ignore"):
                far = np.abs(near - flat) > allowed
            if np.any(far):
                continue
            error = deviation(value, arranged)
            if error.within(bound):
                return Match(name, layout, max(error))
        return None
