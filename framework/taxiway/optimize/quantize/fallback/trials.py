"""Candidates: the model quantized but for a set of operators, measured once each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.operators import Operator, Precision
from taxiway.optimize.quantize.fallback.journal import Journal, Measured, key_of
from taxiway.optimize.quantize.fallback.rows import Rows
from taxiway.optimize.quantize.fallback.score import Score
from taxiway.plugins import Context
from taxiway.plugins.context import unheard, untold

if TYPE_CHECKING:
    from taxiway.optimize.quantize.quantizing import Quantizing

Names = frozenset[str]


@dataclass(frozen=True)
class Setup:
    """How a candidate is made: the pass, the float model, and what the recipe itself keeps."""

    quantizer: Quantizing
    model: Model
    options: Any
    kept: Mapping[str, Precision]

    def make(self, own: Mapping[str, Precision], context: Context) -> Model:
        """Quantized but for `own`, and for what the recipe keeps."""
        return self.quantizer.quantize(self.model, self.options, {**self.kept, **own}, context)


class Trials:
    """Measures candidates, and remembers them in a journal.

    A candidate is named by the operators it keeps in higher precision besides those that the recipe
    keeps. Where it cannot be made, as one in which nothing is left to quantize, a measurement is None.
    precision: of an operator that is kept, where nothing else is said.
    """

    def __init__(
        self,
        setup: Setup,
        operators: Sequence[Operator],
        rows: Rows,
        journal: Journal,
        context: Context,
        precision: Precision,
    ) -> None:
        self._setup, self._rows, self._journal = setup, rows, journal
        self._names = frozenset(op.name for op in operators)
        self._context, self._precision = context, precision

    def keeping(self, precision: Precision) -> Trials:
        """The same candidates, with the operators that are kept in another precision."""
        made = copy(self)
        made._precision = precision
        return made

    def learn(self, own: Mapping[str, Precision], score: Score, size: int) -> None:
        """Take what was measured elsewhere, unless it is known."""
        known = self._journal.known(self._key(own))
        if known is None or known.score is None:
            self._journal.add(Measured(key=self._key(own), score=score, size=size))

    def alone(self, names: Names) -> float | None:
        """Noise of the model in which only these operators are quantized."""
        return self.noise_in(dict.fromkeys(self._names - names, "float32"))

    def noise(self, kept: Names) -> float | None:
        return self.noise_in(self.precisions(kept))

    def score(self, kept: Names) -> Score | None:
        return self.score_in(self.precisions(kept))

    def score_in(self, own: Mapping[str, Precision]) -> Score | None:
        """The score with operators kept in precisions of their own."""
        known = self._journal.known(self._key(own))
        if known and (known.score or known.failure):
            return known.score
        rows = self._rows
        return self._measure(own, lambda model: {"score": rows.score(model)}).score

    def noise_in(self, own: Mapping[str, Precision]) -> float | None:
        """The noise with operators kept in precisions of their own."""
        known = self._journal.known(self._key(own))
        if known and (known.noise is not None or known.failure):
            return known.noise
        rows = self._rows
        return self._measure(own, lambda model: {"noise": rows.noise(model)}).noise

    def size_in(self, own: Mapping[str, Precision]) -> int | None:
        """Bytes of the model."""
        known = self._journal.known(self._key(own))
        if known and (known.size or known.failure):
            return known.size
        return self._measure(own, lambda model: {}).size

    def precisions(self, kept: Names) -> dict[str, Precision]:
        return dict.fromkeys(sorted(kept), self._precision)

    def _key(self, own: Mapping[str, Precision]) -> str:
        return key_of({**self._setup.kept, **own})

    def _measure(
        self, own: Mapping[str, Precision], measure: Callable[[Model], dict[str, Any]]
    ) -> Measured:
        key, start = self._key(own), time.perf_counter()
        with TemporaryDirectory(dir=self._context.workdir) as folder:
            try:
                model = self._setup.make(own, silent(self._context, Path(folder)))
                found = Measured(key=key, size=model.size, **measure(model))
            except StepError as error:
                found = Measured(key=key, failure=error.message)
        seconds = round(time.perf_counter() - start, 3)
        return self._journal.add(msgspec.structs.replace(found, seconds=seconds))


def silent(context: Context, folder: Path) -> Context:
    """The same context with a work folder of a candidate, of which nothing is told."""
    return replace(context, workdir=folder, progress=lambda *_: None, note=unheard, tell=untold)
