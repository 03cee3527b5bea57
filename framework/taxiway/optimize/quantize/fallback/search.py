"""A quantizing pass with a fallback: measure, search, and give the best that was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from taxiway.model import Model
from taxiway.optimize.quantize.fallback.config import Fallback
from taxiway.optimize.quantize.fallback.facts import Outcome, facts
from taxiway.optimize.quantize.fallback.greedy import Found, restore
from taxiway.optimize.quantize.fallback.journal import Journal
from taxiway.optimize.quantize.fallback.latency import medians
from taxiway.optimize.quantize.fallback.ranking import sensitivities
from taxiway.optimize.quantize.fallback.rows import Rows
from taxiway.optimize.quantize.fallback.trials import Recipe, Trials
from taxiway.optimize.quantize.operators import Operator, Precision
from taxiway.plugins import Context, Note
from taxiway.plugins.quantity import parse

if TYPE_CHECKING:
    from taxiway.optimize.quantize.quantizing import Quantizing


def quantize_with_fallback(
    quantizer: Quantizing,
    model: Model,
    options: Any,
    kept: Mapping[str, Precision],
    context: Context,
) -> Model:
    """The quantized model with more operators in `options.fallback.precision`, as few as restore it.

    Where no set restores it, the best one found is given: the gates judge it. What was found is told
    under `fallback`. Raises StepError where the model cannot be quantized at all, where labels or scores
    do not fit, or where the input model's own scores are not finite.
    """
    recipe = Recipe(quantizer, model, options, kept)
    operators = [op for op in quantizer.operators(model, options) if op.name not in kept]
    with TemporaryDirectory(dir=context.workdir) as folder:
        quantized = _make(recipe, kept, context, Path(folder))
        outcome, trials = _search(recipe, operators, quantized.model, context)
        final = quantized
        if outcome.found.kept:
            (Path(folder) / "final").mkdir()
            precisions = trials.precisions(outcome.found.kept)
            final = _make(recipe, precisions, context, Path(folder) / "final")
        made = dict.fromkeys((quantized.model, final.model))
        latency = medians(list(made), outcome.sample.inputs)
        context.tell("fallback", facts(outcome, quantized.model, final.model, latency))
        return final.publish(context)


def _search(
    recipe: Recipe, operators: list[Operator], quantized: Model, context: Context
) -> tuple[Outcome, Trials]:
    options: Fallback = recipe.options.fallback
    allowed = parse(options.max_drop).value
    rows = Rows(recipe.model, quantized, options, context)
    journal = Journal(context.checkpoints)
    trials = Trials(recipe, operators, rows, journal, context)
    first = rows.quantized
    trials.learn(frozenset(), first, quantized.size)
    found: Found = Found(frozenset(), first)
    sensitivity: dict[str, float] = {}
    if not first.within(allowed):
        sensitivity = sensitivities(
            operators, trials, lambda done, total: context.progress(done, total, "operators")
        )
        weights = {op.name: op.weights for op in operators}
        found = restore(sensitivity, weights, trials, allowed)
    outcome = Outcome(
        source=recipe.model,
        options=options,
        allowed=allowed,
        before=rows.before,
        quantized=first,
        found=found,
        operators=tuple(operators),
        sensitivity=sensitivity,
        sizes={name: trials.size(found.kept - {name}) for name in found.kept},
        sample=rows.sample,
        candidates=journal.candidates,
        resumed=journal.found,
        seconds=journal.seconds,
    )
    return outcome, trials


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


def _make(recipe: Recipe, kept: Mapping[str, Precision], context: Context, parent: Path) -> _Made:
    folder = parent / "made"
    folder.mkdir()
    notes: list[Note] = []
    told: dict[str, Mapping[str, Any]] = {}
    inside = replace(context, workdir=folder, note=notes.append, tell=told.__setitem__)
    return _Made(recipe.make(kept, inside), folder, notes, told)
