"""Fewer layers: of blocks that follow one another and are alike, only some are kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from taxiway.errors import StepError
from taxiway.optimize.distill.student.unrolled import Call, Unrolled, Value

IGNORED = {"name", "seed", "rate"}
"""Options in which blocks that are alike may differ; the rate of dropout often grows with depth."""


@dataclass(frozen=True)
class Segment:
    """Calls between two points that all data passes: one value goes in, one comes out.

    likeness: equal for segments that compute the same with other weights.
    """

    calls: tuple[Call, ...]
    entry: Value
    exit: Value
    likeness: str

    @property
    def has_weights(self) -> bool:
        return any(getattr(call.operation, "weights", ()) for call in self.calls)


@dataclass(frozen=True)
class Run:
    """`count` blocks of `period` segments each, from segment `start`, all alike."""

    start: int
    period: int
    count: int


def shallower(graph: Unrolled, depth: float) -> Unrolled:
    """The graph with the share `depth` of each run of repeated blocks, rounded, one at least.

    The last blocks of a run go. All blocks but the first of a run keep the shape of what passes, so
    the rest fits together. Raises StepError where nothing repeats, or nothing would go.
    """
    segments = _segments(graph)
    runs = _runs(segments)
    gone: set[int] = set()
    moved: dict[Value, Value] = {}
    for run in runs:
        kept = max(1, int(depth * run.count + 0.5))
        first = run.start + kept * run.period
        last = run.start + run.count * run.period
        if first < last:
            gone |= {id(call) for segment in segments[first:last] for call in segment.calls}
            moved[segments[last - 1].exit] = segments[first].entry
    if not gone:
        found = ", ".join(f"{run.count} x {segments[run.start].calls[0].name}" for run in runs)
        raise StepError(
            f"student.depth {depth:g} drops nothing: the teacher repeats "
            f"{f'only {found}' if found else 'no block of layers'}",
            "use student.width, student.architecture or student.file",
        )
    calls = tuple(_moved(call, moved) for call in graph.calls if id(call) not in gone)
    return replace(graph, calls=calls, outputs=_mapped(graph.outputs, moved))


def _mapped(structure: Any, moved: dict[Value, Value]) -> Any:
    import keras

    def place(item: Any) -> Any:
        return moved.get(item, item) if isinstance(item, Value) else item

    return keras.tree.map_structure(place, structure)


def _moved(call: Call, moved: dict[Value, Value]) -> Call:
    return replace(call, args=_mapped(call.args, moved), kwargs=_mapped(call.kwargs, moved))


def _segments(graph: Unrolled) -> list[Segment]:
    import keras

    outputs = keras.tree.flatten(graph.outputs)
    last_use = {value: at for at, call in enumerate(graph.calls) for value in call.inputs}
    last_use |= dict.fromkeys(outputs, len(graph.calls))
    shared = Counter(id(call.operation) for call in graph.calls)
    alive = set(keras.tree.flatten(graph.inputs))
    entry = next(iter(alive)) if len(alive) == 1 else None
    segments: list[Segment] = []
    begun: list[Call] = []
    for at, call in enumerate(graph.calls):
        begun.append(call)
        alive |= set(call.outputs)
        alive = {value for value in alive if last_use.get(value, -1) > at}
        if len(alive) == 1:
            (exit_,) = alive
            if entry is not None:
                once = all(shared[id(one.operation)] == 1 for one in begun)
                likeness = _likeness(begun, entry) if once else f"shared {at}"
                segments.append(Segment(tuple(begun), entry, exit_, likeness))
            entry, begun = exit_, []
    return segments


def _likeness(calls: Sequence[Call], entry: Value) -> str:
    import keras

    numbers: dict[Value, int] = {entry: 0}
    shown = []
    for call in calls:
        for value in call.outputs:
            numbers[value] = len(numbers)
        arguments = keras.tree.map_structure(
            lambda item: f"#{numbers.get(item, -1)}" if isinstance(item, Value) else repr(item),
            (call.args, call.kwargs),
        )
        config = _without_ignored(call.operation.get_config())
        shapes = [value.shape for value in call.outputs]
        shown.append([call.kind, config, repr(arguments), shapes])
    return json.dumps(shown, sort_keys=True, default=repr)


def _without_ignored(config: Any) -> Any:
    if isinstance(config, dict):
        return {k: _without_ignored(v) for k, v in config.items() if k not in IGNORED}
    if isinstance(config, list | tuple):
        return [_without_ignored(item) for item in config]
    return config


def _runs(segments: Sequence[Segment]) -> list[Run]:
    """Runs that cover the most segments, from the front; of equal ones that of the smallest block."""
    runs = []
    start = 0
    while start < len(segments):
        found = [run for run in _runs_at(segments, start) if run.count > 1]
        best = max(found, key=lambda run: (run.period * run.count, -run.period), default=None)
        if best is not None:
            runs.append(best)
        start += best.period * best.count if best else 1
    return runs


def _runs_at(segments: Sequence[Segment], start: int) -> list[Run]:
    runs = []
    for period in range(1, (len(segments) - start) // 2 + 1):
        block = [segment.likeness for segment in segments[start : start + period]]
        if not any(segment.has_weights for segment in segments[start : start + period]):
            continue
        count, at = 1, start + period
        while [segment.likeness for segment in segments[at : at + period]] == block:
            count, at = count + 1, at + period
        runs.append(Run(start, period, count))
    return runs
