"""The examination: one pass over the samples, one over the model, and what they say together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.doctor.advice import refuse, warnings
from taxiway.optimize.doctor.noise import is_noise, is_structured
from taxiway.optimize.doctor.probe import Feeder, Probe, open_probe
from taxiway.optimize.doctor.ranges import Ranges
from taxiway.optimize.doctor.rows import Rows, leaked, plain_labels
from taxiway.plugins import Batch, Context, Dataset, Selection

if TYPE_CHECKING:
    from taxiway.optimize.doctor.doctor import Doctor

READ = 64
"""Rows read at once."""
MARGIN = 0.02
"""Part of a range's width that a value may lie beside it: that far off, clipping costs what rounding does."""
LISTED = 10
"""Tensors that are named."""


def examine(
    model: Model, options: Doctor.Config, selections: tuple[Selection, ...], context: Context
) -> dict[str, Any]:
    """The figures, with `warnings` in sentences.

    Raises StepError for NaN in the samples or in the model, and, unless `options.allow_random`, for
    samples that are noise, all equal or without content.
    """
    data = context.data
    assert data is not None
    available = data.count(Selection(selections[0].split))
    given = min(options.samples or available, available)
    rows = Rows(selections[0].split)
    for batch in _first(data, selections[0], given):
        rows.add(batch)
    other = _other(data, selections)
    noise = {name: round(value, 3) for name, value in rows.structures().items()}
    # As many rows as were given: more rows show weaker structure.
    others = other.structures(given) if other else {}
    figures: dict[str, Any] = {
        "split": rows.split,
        "samples": given,
        "available": available,
        "duplicates": {"exact": rows.copies, "near": rows.near_copies},
        "blank": rows.blank,
        "classes": plain_labels(rows.labels) or None,
        "structure": noise,
        "random": bool(noise) and all(is_noise(value) for value in noise.values()),
        "leakage": None,
        "inputs": _inputs(rows, other),
    }
    if other is not None:
        figures["leakage"] = {
            "split": other.split,
            "rows": leaked(rows, other),
            "looked_at": len(other),
        }
    refuse(figures, any(map(is_structured, others.values())), options)
    figures |= _Ranges(model, options, selections[0], given, context).figures()
    figures["warnings"] = warnings(figures, data.class_names, options)
    return figures


def _other(data: Dataset, selections: tuple[Selection, ...]) -> Rows | None:
    """The rows of the test split; None where there is none."""
    if len(selections) < 2:
        return None
    rows = Rows(selections[1].split)
    for batch in data.batches(selections[1], READ):
        rows.add(batch)
    return rows


def _first(data: Dataset, selection: Selection, count: int) -> Iterator[Batch]:
    """The first `count` rows of a selection."""
    for start, batch in _numbered(data.batches(selection, READ)):
        if start >= count:
            return
        yield _part(batch, 0, count - start)


def _numbered(batches: Iterator[Batch]) -> Iterator[tuple[int, Batch]]:
    """Each batch with the number of its first row."""
    start = 0
    for batch in batches:
        yield start, batch
        start += _count(batch)


def _count(batch: Batch) -> int:
    return len(next(iter(batch.inputs.values())))


def _part(batch: Batch, start: int, stop: int) -> Batch:
    labels = None if batch.labels is None else batch.labels[start:stop]
    return Batch({name: array[start:stop] for name, array in batch.inputs.items()}, labels)


def _inputs(rows: Rows, other: Rows | None) -> dict[str, Any]:
    """Input -> its mean, deviation and range, and those of the test split."""
    known = other.spreads() if other else {}
    return {
        name: {"calibration": list(found), "test": list(known[name]) if name in known else None}
        for name, found in rows.spreads().items()
    }


class _Ranges:
    """The float model on the given samples, and on more of the same split."""

    def __init__(
        self, model: Model, options: Any, selection: Selection, given: int, context: Context
    ) -> None:
        self._model, self._options, self._context = model, options, context
        assert context.data is not None
        self._data = context.data
        self._selection = Selection(selection.split, selection.samples)
        self._look = min(self._data.count(self._selection), options.rows)
        self._given = min(given, self._look)
        self._probe = open_probe(model)
        self._feeder = Feeder(model)

    def figures(self) -> dict[str, Any]:
        ranges = self._measure()
        low, high = ranges.at(self._given)
        last_low, last_high = ranges.at(ranges.samples)
        infinite = ~np.isfinite(last_low) | ~np.isfinite(last_high)
        names = np.array(ranges.tensors, object)
        constant = [str(name) for name in names[(last_low == last_high) & ~infinite]]
        settled = ranges.settled(self._options.settled)
        curve = ranges.curve(self._options.settled) if len(names) else []
        slowest = sorted(zip(settled.tolist(), ranges.tensors, strict=True), reverse=True)[:3]
        return {
            "ranges": {
                "looked_at": ranges.samples,
                "given": self._given,
                "tensors": len(ranges.tensors),
                "settled_at": ranges.settled_at(self._options.settled) if len(names) else 0,
                "curve": [list(point) for point in curve],
                "slowest": [{"tensor": name, "settled_at": at} for at, name in slowest],
            },
            "constant": constant[:LISTED],
            "infinite": [str(name) for name in names[infinite]][:LISTED],
            "saturation": self._saturation(ranges, (low, high), (last_low, last_high)),
        }

    def _measure(self) -> Ranges:
        try:
            return self._measured()
        except StepError:
            # A Reshape inside may insist on one sample though the signature leaves the batch open.
            if self._feeder.size == 1:
                raise
            self._probe, self._feeder = open_probe(self._model), Feeder(self._model)
            self._feeder.one_by_one()
            return self._measured()

    def _measured(self) -> Ranges:
        ranges = Ranges(self._probe.tensors)
        for count, feed in self._feeds(0, self._look):
            low, high, numbers = self._probe.extremes(feed)
            if not numbers:
                raise _not_a_number(self._probe, self._model, feed, ranges.samples)
            ranges.add(count, low, high)
            self._context.progress(ranges.samples, self._look, "samples")
        return ranges

    def _feeds(self, start: int, stop: int) -> Iterator[tuple[int, Any]]:
        """The rows from `start` to `stop`; no feed holds given samples and others."""
        for first, batch in _numbered(self._data.batches(self._selection, READ)):
            if first >= stop:
                return
            size = _count(batch)
            ends = sorted({max(0, start - first), max(0, stop - first), self._given - first})
            ends = [0, *(end for end in ends if 0 < end < size), size]
            for begin, end in pairwise(ends):
                if first + begin >= start and first + end <= stop:
                    yield from self._feeder.feeds(_part(batch, begin, end))

    def _saturation(self, ranges: Ranges, given: Any, seen: Any) -> dict[str, Any] | None:
        """Values of the samples that were not given, outside of the ranges of those that were."""
        held = ranges.samples - self._given
        if held <= 0:
            return None
        (low, high), (last_low, last_high) = given, seen
        width = np.maximum(high - low, 1e-12)
        with np.errstate(invalid="ignore"):
            beyond = np.maximum(low - last_low, last_high - high) / width
        beyond = np.nan_to_num(beyond, nan=0.0, posinf=0.0)
        worst = [int(at) for at in np.argsort(-beyond, kind="stable")[:LISTED] if beyond[at] > 0]
        margin = MARGIN * width
        wanted = {
            ranges.tensors[at]: (float(low[at] - margin[at]), float(high[at] + margin[at]))
            for at in worst
        }
        feeds = self._feeds(self._given, self._look)
        shares = self._probe.outside(feeds, wanted) if wanted else {}
        tensors = [
            {
                "tensor": ranges.tensors[at],
                "share": shares[ranges.tensors[at]],
                "range": [float(low[at]), float(high[at])],
                "seen": [float(last_low[at]), float(last_high[at])],
            }
            for at in worst
        ]
        tensors.sort(key=lambda tensor: -tensor["share"])  # type: ignore[operator]
        return {"samples": held, "tensors": tensors}


def _not_a_number(probe: Probe, model: Model, feed: Any, start: int) -> StepError:
    name = probe.broken(feed)
    return StepError(
        f"{model.path.name} gives NaN on calibration samples from number {start} on"
        + (f": the first tensor with it is '{name}'" if name else ""),
        "look at the weights of that operator and at these samples: no range can be set by NaN",
    )
