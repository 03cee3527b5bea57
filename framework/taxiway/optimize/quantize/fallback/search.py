"""A quantizing pass with a fallback: measure, search, and give the best that was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from taxiway.model import Model
from taxiway.optimize.quantize.fallback.cheaper import cheapen, instead
from taxiway.optimize.quantize.fallback.config import Fallback
from taxiway.optimize.quantize.fallback.facts import Outcome, facts
from taxiway.optimize.quantize.fallback.greedy import Found, restore
from taxiway.optimize.quantize.fallback.journal import Journal
from taxiway.optimize.quantize.fallback.ranking import sensitivities
from taxiway.optimize.quantize.fallback.rows import Rows
from taxiway.optimize.quantize.fallback.score import Score
from taxiway.optimize.quantize.fallback.trials import Setup, Trials
from taxiway.optimize.quantize.operators import Operator, Precision
from taxiway.plugins import Context, Note
from taxiway.plugins.quantity import parse

if TYPE_CHECKING:
    from taxiway.optimize.quantize.quantizing import Quantizing

HEAVY = 0.1
"""Share of the bytes saved that may be given back before more operators with 8-bit weights are tried
instead; they must halve it."""
WEIGHED = 32
"""Kept operators whose bytes are told one by one."""


def quantize_with_fallback(
    quantizer: Quantizing,
    model: Model,
    options: Any,
    kept: Mapping[str, Precision],
    context: Context,
) -> Model:
    """The quantized model with as few more operators in higher precision as restore it.

    Where no set restores it, the best one found is given: the gates judge it. What was found is told
    under `fallback`. Raises StepError where the model cannot be quantized at all, where labels or scores
    do not fit, or where the input model's own scores are not finite.
    """
    from taxiway.model.interleaved import interleaved
    from taxiway.model.runners import open_runner

    setup = Setup(quantizer, model, options, kept)
    operators = [op for op in quantizer.operators(model, options) if op.name not in kept]
    with TemporaryDirectory(dir=context.workdir) as folder:
        quantized = _make(setup, {}, context, Path(folder) / "quantized")
        outcome = _search(setup, operators, quantized.model, context)
        final = quantized
        if outcome.kept:
            final = _make(setup, outcome.kept, context, Path(folder) / "final")
        made = dict.fromkeys((quantized.model, final.model))
        timings = interleaved([open_runner(each) for each in made], outcome.samples)
        latency = [timing.p50 for timing in timings]
        context.tell("fallback", facts(outcome, quantized.model, final.model, latency))
        return final.publish(context)


def _search(
    setup: Setup, operators: Sequence[Operator], quantized: Model, context: Context
) -> Outcome:
    options: Fallback = setup.options.fallback
    allowed = parse(options.max_drop).value
    rows = Rows(setup.model, quantized, options, context)
    journal = Journal(context.checkpoints)
    trials = Trials(setup, operators, rows, journal, context, options.precision or "float32")
    trials.learn({}, rows.quantized, quantized.size)
    kept: dict[str, Precision] = {}
    sensitivity: dict[str, float] = {}
    score = rows.quantized
    if not score.within(allowed):
        sensitivity = sensitivities(
            operators, trials, lambda done, total: context.progress(done, total, "operators")
        )
        weights = {op.name: op.weights for op in operators}
        found = restore(sensitivity, weights, trials, allowed)
        kept, score = trials.precisions(found.kept), found.score
        if options.precision is None:
            saved = setup.model.size - quantized.size
            kept, score = _light(found, sensitivity, weights, trials, allowed, saved)
    return Outcome(
        source=setup.model,
        options=options,
        allowed=allowed,
        before=rows.before,
        quantized=rows.quantized,
        kept=kept,
        score=score,
        operators=tuple(operators),
        sensitivity=sensitivity,
        sizes=_sizes_without(kept, trials),
        samples=rows.samples,
        candidates=journal.candidates,
        resumed=journal.found,
        seconds=journal.seconds,
    )


def _light(
    found: Found,
    sensitivity: Mapping[str, float],
    weights: Mapping[str, int],
    trials: Trials,
    allowed: float,
    saved: int,
) -> tuple[dict[str, Precision], Score]:
    """What is kept in what, in few bytes; saved: by quantizing all."""
    limit = max(allowed, found.score.drop)
    kept, score = cheapen(found, weights, trials, limit)
    whole = trials.size_in({}) or 0
    given_back = (trials.size_in(kept) or 0) - whole
    if given_back <= HEAVY * saved:
        return kept, score
    small = trials.keeping("int8_weights")
    more = instead(found, sensitivity, weights, small, limit)
    if more is None:
        return kept, score
    other = small.precisions(more.kept)
    size = trials.size_in(other)
    if size is None or size - whole > given_back / 2:
        return kept, score
    return other, more.score


def _sizes_without(kept: Mapping[str, Precision], trials: Trials) -> dict[str, int | None]:
    """Kept operator -> bytes of the model in which it is quantized, too."""
    others = {name: {n: p for n, p in kept.items() if n != name} for name in kept}
    return {name: trials.size_in(own) for name, own in list(others.items())[:WEIGHED]}


@dataclass(frozen=True)
class _Made:
    """A quantized model in a folder of its own, and what making it told."""

    model: Model
    folder: Path
    notes: list[Note]
    told: dict[str, Mapping[str, Any]]

    def publish(self, context: Context) -> Model:
        """Move the model to the step's work folder, and tell what was told of it."""
        for note in self.notes:
            context.note(note)
        for subject, about in self.told.items():
            context.tell(subject, about)
        inside = self.model.path.relative_to(self.folder)
        for child in sorted(self.folder.iterdir()):
            child.rename(context.workdir / child.name)
        return msgspec.structs.replace(self.model, path=context.workdir / inside)


def _make(setup: Setup, own: Mapping[str, Precision], context: Context, folder: Path) -> _Made:
    folder.mkdir()
    notes: list[Note] = []
    told: dict[str, Mapping[str, Any]] = {}
    inside = replace(context, workdir=folder, note=notes.append, tell=told.__setitem__)
    return _Made(setup.make(own, inside), folder, notes, told)
