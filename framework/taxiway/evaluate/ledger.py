"""The ledger of a run: what each conversion and pass bought, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from taxiway import plugins
from taxiway.model import FORMATS, Model
from taxiway.plugins import Context, Selection, Stage, registry

if TYPE_CHECKING:
    import numpy as np

    from taxiway.model.interleaved import Timing

    Samples = list[dict[str, np.ndarray[Any, Any]]]

SAMPLES = 16
"""Rows that latency is measured on, by turns."""
SOURCE, RESULT = "source", "result"


class Waterfall(plugins.Ledger):
    """One row per model of the run: size, parameters, zeros, time and quality, beside the row before."""

    accepts = frozenset(FORMATS)

    class Config(plugins.Config, frozen=True, tag_field="type", tag="waterfall"):
        """What the rows are measured on."""

        split: Annotated[
            str | None,
            Meta(description="The split that latency is measured on; null: the recipe's own."),
        ] = None
        evaluate: Annotated[
            dict[str, Any] | None,
            Meta(description="How the rows between are evaluated; null: as the result is."),
        ] = None
        rounds: Annotated[
            int, Meta(ge=5, description="Each model is timed once a round, at most so often.")
        ] = 100
        seconds: Annotated[
            float, Meta(gt=0, description="No new round begins after this time.")
        ] = 1.0

    def reads(self, options: Config) -> tuple[Selection, ...]:
        chosen = []
        if options.split is not None:
            chosen.append(Selection(options.split, SAMPLES))
        if options.evaluate:
            evaluator, how = _evaluator(options.evaluate)
            chosen += evaluator.reads(how)
        return tuple(chosen)

    def run(self, model: Model, options: Config, context: Context) -> dict[str, Any]:
        """The rows, and warnings in sentences.

        A row: `step`, `plugin`, `format`, `runtime`; `size`, `compressed` (bytes); `parameters`;
        `sparsity` (share of zeros); `latency_p50`, `latency_quartiles` (seconds; the rows of one runtime are
        timed by turns); `accuracy`
        with `accuracy_interval` (95 %), `agreement`; what is not known is null.
        """
        from taxiway.evaluate.advice import warnings
        from taxiway.evaluate.weigh import weigh

        rows: list[dict[str, Any]] = []
        total = len(context.chain) + 1
        for place, stage in enumerate(context.chain):
            row = {"step": stage.step, "plugin": stage.plugin, **weigh(stage.model)}
            rows.append(row | self._quality(place, stage, options, context))
            context.progress(place + 1, total, "models")
        for row, timing in zip(rows, _timings(options, context), strict=True):
            row["latency_p50"] = timing.p50 if timing else None
            row["latency_quartiles"] = [timing.p25, timing.p75] if timing else None
        context.progress(total, total, "models")
        advice = {
            stage.step: registry().get("optimize", stage.plugin).step.instead  # type: ignore[attr-defined]
            for stage in context.chain
            if stage.step.startswith("optimize.")
        }
        found = [
            text for before, after in pairwise(rows) for text in warnings(before, after, advice)
        ]
        return {"rows": rows, "warnings": found}

    def _quality(
        self, place: int, stage: Stage, options: Config, context: Context
    ) -> dict[str, Any]:
        """The source's and the result's figures are those of the evaluation; others are made now."""
        if not options.evaluate:
            return {}
        subjects: Mapping[str, Any] = context.figures.get("subjects", {})
        known = None
        if place == len(context.chain) - 1:
            known = subjects.get(RESULT)
        elif place == 0:
            known = subjects.get(SOURCE)
        if known is not None:
            return _shares({**known, "n": context.figures["n"]})
        evaluator, how = _evaluator(options.evaluate)
        if stage.model.format not in evaluator.accepts:
            return {}
        workdir = context.workdir / f"row_{place}"
        workdir.mkdir()
        return _shares(evaluator.quality(stage.model, how, replace(context, workdir=workdir)))


def _evaluator(given: Mapping[str, Any]) -> tuple[Any, Any]:
    """The step that evaluates, and its options."""
    plugin = registry().get("evaluate", given["type"])
    return plugin.step(), msgspec.convert(dict(given), plugin.step.Config)


def _shares(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Accuracy with its interval, and agreement."""
    from taxiway.model.intervals import wilson

    row = {name: figures[name] for name in ("n", "accuracy", "agreement") if name in figures}
    if "accuracy" in row and row.get("n"):
        row["accuracy_interval"] = list(wilson(row["accuracy"], row["n"]))
    return row


def _timings(options: Waterfall.Config, context: Context) -> list[Timing | None]:
    """Seconds of one sample for every model of the chain; None where there are no samples."""
    from taxiway.model.interleaved import interleaved
    from taxiway.model.runners import open_runner, runtime_of

    if context.data is None or options.split is None:
        return [None] * len(context.chain)
    batch = next(context.data.batches(Selection(options.split, SAMPLES), SAMPLES))
    rows = len(next(iter(batch.inputs.values())))
    samples = [{k: v[i : i + 1] for k, v in batch.inputs.items()} for i in range(rows)]
    timings: list[Timing | None] = [None] * len(context.chain)
    runtimes = [runtime_of(stage.model.format) for stage in context.chain]
    share = options.seconds / len(set(runtimes))
    # By turns within a runtime only: another one's threads and caches would be measured, too.
    for runtime in dict.fromkeys(runtimes):
        places = [place for place, name in enumerate(runtimes) if name == runtime]
        runners = [open_runner(context.chain[place].model) for place in places]
        measured = interleaved(runners, samples, rounds=options.rounds, seconds=share)
        for place, timing in zip(places, measured, strict=True):
            timings[place] = timing
    return timings
