"""A made-up model whose operators disturb it by given amounts, as the search sees one; labelled digits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from taxiway.optimize.quantize.fallback.score import Score
from taxiway.optimize.quantize.operators import Operator, Precision
from taxiway.plugins import Batch, Selection

Array = np.ndarray[Any, Any]

ROWS = 1000
PER_NOISE = 100.0
"""Rows that are lost for a noise of 1."""


@dataclass
class MadeUp:
    """Noise of what is quantized adds up, and so do the rows that it loses.

    noise: operator -> what it adds by itself. pairs: operators that share one value: it is disturbed,
    once, as long as one of them is quantized. alone_fails: operators that no quantizer takes alone.
    small: operator -> rows that are lost where its weights have 8 bits. loud: operator -> noise that 8 bits
    of its weights add without a row lost.
    """

    noise_of: Mapping[str, float]
    shared: Mapping[frozenset[str], float] = field(default_factory=dict)
    alone_fails: Collection[str] = ()
    small: Mapping[str, int] = field(default_factory=dict)
    loud: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)
    asked: list[tuple[str, frozenset[str]]] = field(default_factory=list)

    @property
    def operators(self) -> list[Operator]:
        return [Operator(name, "Conv", self.weights.get(name, 100)) for name in self.noise_of]

    def _disturbed(self, quantized: frozenset[str]) -> float:
        shared = sum(noise for names, noise in self.shared.items() if names & quantized)
        return sum(self.noise_of[name] for name in quantized) + shared

    def alone(self, names: frozenset[str]) -> float | None:
        self.asked.append(("alone", names))
        if names <= frozenset(self.alone_fails):
            return None
        return self._disturbed(names)

    def noise(self, kept: frozenset[str]) -> float | None:
        self.asked.append(("noise", kept))
        return self._disturbed(frozenset(self.noise_of) - kept)

    def score(self, kept: frozenset[str]) -> Score | None:
        self.asked.append(("score", kept))
        if kept == frozenset(self.noise_of):
            return None
        return self._score(kept, 0)

    def score_in(self, own: Mapping[str, Precision]) -> Score:
        small = [name for name, precision in own.items() if precision == "int8_weights"]
        return self._score(frozenset(own), sum(self.small.get(name, 0) for name in small))

    def noise_in(self, own: Mapping[str, Precision]) -> float:
        small = [name for name, precision in own.items() if precision == "int8_weights"]
        rows = sum(self.small.get(name, 0) for name in small) / PER_NOISE
        loud = sum(self.loud.get(name, 0.0) for name in small)
        return self._disturbed(frozenset(self.noise_of) - frozenset(own)) + rows + loud

    def size_in(self, own: Mapping[str, Precision]) -> int:
        share = {"int8_weights": 1, "float16": 2, "float32": 4}
        return sum(
            self.weights.get(name, 100) // 4 * share.get(own.get(name, "int8_weights"), 1)
            for name in self.noise_of
        )

    def _score(self, kept: frozenset[str], more: int) -> Score:
        lost = round(PER_NOISE * self._disturbed(frozenset(self.noise_of) - kept)) + more
        lost = min(lost, ROWS)
        return Score(ROWS, ROWS - lost, lost, 0)


@pytest.fixture(scope="session")
def made_up() -> Callable[..., MadeUp]:
    return MadeUp


class Labelled:
    """Arrays in memory as the `calibration` split."""

    class_names = None
    splits = ("calibration",)
    preprocessing: dict[str, Any] = {}

    def __init__(self, pixels: Array, labels: Array, name: str = "pixels") -> None:
        self.pixels, self.labels, self.name = pixels, labels, name

    def count(self, selection: Selection) -> int:
        return min(len(self.pixels), selection.samples or len(self.pixels))

    def fingerprint(self, selection: Selection) -> str:
        return ""

    def batches(self, selection: Selection, size: int) -> Iterator[Batch]:
        count = self.count(selection)
        for start in range(0, count, size):
            rows = slice(start, min(start + size, count))
            labels = self.labels[rows] if selection.labels else None
            yield Batch({self.name: self.pixels[rows]}, labels)


@pytest.fixture(scope="session")
def dataset() -> type[Labelled]:
    return Labelled


@pytest.fixture
def labelled(digits: tuple[Array, Array]) -> Labelled:
    """400 digits."""
    return Labelled(digits[0][:400], digits[1][:400])
