"""Candidates: the model quantized but for a set of operators, measured once each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.quantize.fallback.journal import Journal, Measured, key_of
from taxiway.optimize.quantize.fallback.rows import Rows
from taxiway.optimize.quantize.fallback.score import Score
from taxiway.optimize.quantize.operators import Operator, Precision
from taxiway.plugins import Context
from taxiway.plugins.step import unheard, untold

if TYPE_CHECKING:
    from taxiway.optimize.quantize.quantizing import Quantizing

Names = frozenset[str]


@dataclass(frozen=True)
class Recipe:
    """How a candidate is made: the pass, the float model, and what the recipe itself keeps."""

    quantizer: Quantizing
    model: Model
    options: Any
    kept: Mapping[str, Precision]

    def make(self, kept: Mapping[str, Precision], context: Context) -> Model:
        return self.quantizer.quantize(self.model, self.options, kept, context)


class Trials:
    """Measures candidates, and remembers them in a journal.

    A candidate is named by the operators it keeps in higher precision besides those that the recipe
    keeps. Where it cannot be made, as one in which nothing is left to quantize, a measurement is None.
    """

    def __init__(
        self,
        recipe: Recipe,
        operators: Sequence[Operator],
        rows: Rows,
        journal: Journal,
        context: Context,
    ) -> None:
        self._recipe, self._rows, self._journal = recipe, rows, journal
        self._names = frozenset(op.name for op in operators)
        self._context = context

    def learn(self, kept: Names, score: Score, size: int) -> None:
        """Take what was measured elsewhere, unless it is known."""
        key = key_of(self.precisions(kept))
        known = self._journal.known(key)
        if known is None or known.score is None:
            self._journal.add(Measured(key=key, score=score, size=size))

    def alone(self, names: Names) -> float | None:
        """Noise of the model in which only these operators are quantized."""
        others = dict.fromkeys(sorted(self._names - names), "float32")
        return self._noise({**self._recipe.kept, **others})  # type: ignore[dict-item]

    def noise(self, kept: Names) -> float | None:
        return self._noise(self.precisions(kept))

    def score(self, kept: Names) -> Score | None:
        precisions = self.precisions(kept)
        known = self._journal.known(key_of(precisions))
        if known and (known.score or known.failure):
            return known.score
        rows = self._rows
        return self._measure(precisions, lambda model: {"score": rows.score(model)}).score

    def size(self, kept: Names) -> int | None:
        """Bytes of a candidate that was measured before; None for any other."""
        known = self._journal.known(key_of(self.precisions(kept)))
        return known.size if known else None

    def precisions(self, kept: Names) -> dict[str, Precision]:
        """Everything that stays in higher precision, in what."""
        return {
            **self._recipe.kept,
            **dict.fromkeys(sorted(kept), self._recipe.options.fallback.precision),
        }

    def _noise(self, kept: Mapping[str, Precision]) -> float | None:
        known = self._journal.known(key_of(kept))
        if known and (known.noise is not None or known.failure):
            return known.noise
        rows = self._rows
        return self._measure(kept, lambda model: {"noise": rows.noise(model)}).noise

    def _measure(
        self, kept: Mapping[str, Precision], measure: Callable[[Model], dict[str, Any]]
    ) -> Measured:
        key, start = key_of(kept), time.perf_counter()
        with TemporaryDirectory(dir=self._context.workdir) as folder:
            try:
                model = self._recipe.make(kept, silent(self._context, Path(folder)))
                found = Measured(key=key, size=model.size, **measure(model))
            except StepError as error:
                found = Measured(key=key, failure=error.message)
        seconds = round(time.perf_counter() - start, 3)
        return self._journal.add(msgspec.structs.replace(found, seconds=seconds))


def silent(context: Context, folder: Path) -> Context:
    """The same context with a work folder of a candidate, of which nothing is told."""
    return replace(context, workdir=folder, progress=lambda *_: None, note=unheard, tell=untold)
