"""Names the operator that makes the difference: the first whose result, replaced by the
reference's, puts everything after it right.

An operator is not blamed for what it was fed with (that is the reference's own), nor for a result
that the reference does not have (as long as what follows from it is right). One that passes its
input on, like an Identity in the place of a Relu, is in order by its numbers alone; it is found
because the operators after it are right with another tensor of the reference in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from taxiway.parity.align import Alignment, Pair
from taxiway.parity.layout import Layout, layouts
from taxiway.parity.relative import deviation, relative_error
from taxiway.parity.trace import Operator

Array = np.ndarray[Any, Any]
MAX_FOLLOWED = 64
"""Operators after a suspect that are computed to see whether they are right."""
MAX_SUSPECTS = 40
MAX_COUNTERPARTS = 16
MAX_LAYOUTS = 6
NEIGHBOURHOOD = 6
"""Operators of the reference between the counterparts of a suspect's inputs and of its output."""


class Culprit(NamedTuple):
    """An operator, the tensor it gets wrong, the reference's tensor of that place, and its value
    in the candidate's layout; None where no tensor of the reference puts things right."""

    operator: Operator
    tensor: str
    counterpart: str | None
    expected: Array | None


def align(pair: Pair, tolerance: float) -> Alignment:
    """Align every tensor of the candidate, in its order."""
    alignment = Alignment(pair, tolerance)
    candidate = pair.candidate
    expected_inputs = dict(zip(candidate.inputs, pair.reference.inputs, strict=False))
    for name in candidate.inputs:
        if name in pair.actual:
            alignment.set_input(name, expected_inputs.get(name))
    for op in candidate.operators:
        alignment.visit(op)
    return alignment


def wrong_outputs(pair: Pair, alignment: Alignment) -> set[str]:
    """Outputs of the candidate that are not the reference's, fed as the alignment is."""
    return {
        name
        for other, name in pair.outputs
        if other in pair.expected and not _agrees(alignment, name, other)
    }


def _agrees(alignment: Alignment, name: str, other: str) -> bool:
    state, value = alignment.state(name), alignment.value(name)
    if value is None:
        return False
    if state is not None and any(match.name == other for match in state.matches):
        return True
    expected = alignment.pair.expected[other]
    allowed = alignment.allowed(name, value, state.noisy if state else None)
    if deviation(value, expected).within(allowed):
        return True
    return alignment.pair.expected.compare(other, value, allowed) is not None


def unresolved(pair: Pair, alignment: Alignment, wrong: set[str]) -> set[str]:
    """Pending tensors from which something wrong is computed."""
    found: set[str] = set()
    for op in reversed(pair.candidate.operators):
        for name in op.outputs:
            state = alignment.state(name)
            if state is not None and state.matches and name not in wrong:
                continue
            later = (out for user in pair.consumers.get(name, []) for out in user.outputs)
            if name in wrong or any(out in found for out in later):
                found.add(name)
    return found


def locate(pair: Pair, alignment: Alignment) -> Culprit | None:
    """The first operator that introduces an error; None where the outputs are right."""
    wrong = wrong_outputs(pair, alignment)
    if not wrong:
        return None
    open_ = unresolved(pair, alignment, wrong)
    pending = [op for op in pair.candidate.operators if any(name in open_ for name in op.outputs)]
    heads = [op for op in pending if op.fed] or pending
    if not heads:
        return None
    first = heads[0]
    before = [op for op in pending if op.index < first.index]
    after = [op for op in pending if op.index > first.index][:MAX_SUSPECTS]
    # One that only passes on what it got is suspected before those it got it from.
    order = [] if passes_on(alignment, first) else list(_upstream(pair, alignment, first))
    partly: Culprit | None = None
    for op in [*order, *before, first, *after]:
        for culprit, share in _trials(pair, alignment, op, first if op in order else None):
            if share == 1.0 or culprit.tensor in pair.named:
                return culprit
            partly = partly or culprit
    return partly or Culprit(first, first.outputs[0], None, None)


def _upstream(pair: Pair, alignment: Alignment, op: Operator) -> Iterator[Operator]:
    """Those that gave the operator its inputs, the nearest first; through those that only move
    elements. An input found by its name is what it is called."""
    seen: set[int] = set()
    front = [name for name in op.fed if name not in pair.named]
    while front:
        name = front.pop(0)
        maker = pair.producers.get(name)
        if maker is None or maker.index in seen:
            continue
        seen.add(maker.index)
        yield maker
        if passes_on(alignment, maker):
            front += [fed for fed in maker.fed if fed not in pair.named]


def passes_on(alignment: Alignment, op: Operator) -> bool:
    """Whether the output holds the elements of an input, in any order."""
    value = alignment.value(op.outputs[0])
    return value is not None and any(
        other is not None
        and other.size == value.size
        and other.size > 1
        and bool(np.array_equal(np.sort(other, axis=None), np.sort(value, axis=None)))
        for other in map(alignment.value, op.fed)
    )


def _keeps_order(alignment: Alignment, op: Operator) -> bool:
    value = alignment.value(op.outputs[0])
    return value is not None and any(
        other is not None
        and other.size == value.size
        and bool(np.array_equal(other.reshape(-1), value.reshape(-1)))
        for other in map(alignment.value, op.fed)
    )


_RESHAPES = {
    "Reshape", "Squeeze", "Unsqueeze", "Flatten", "ExpandDims", "RESHAPE", "SQUEEZE", "EXPAND_DIMS",
}  # fmt: skip
_MOVES = {"Transpose", "TRANSPOSE", *_RESHAPES}


def _possible(alignment: Alignment, op: Operator, value: Array) -> bool:
    """Whether an operator of this kind could have given `value` at all: one that moves elements
    gives those it took, and a reshape in the same order."""
    if op.type not in _MOVES:
        return True
    for other in map(alignment.value, op.fed):
        if other is None or other.size != value.size:
            continue
        if op.type in _RESHAPES:
            same = np.array_equal(other.reshape(-1), value.reshape(-1))
        else:
            same = np.array_equal(np.sort(other, axis=None), np.sort(value, axis=None))
        if same:
            return True
        distance = relative_error(np.sort(value, axis=None), np.sort(other, axis=None))
        if op.type not in _RESHAPES and distance <= alignment.tolerance:
            return True
        if op.type in _RESHAPES and (
            relative_error(value.reshape(-1), other.reshape(-1)) <= alignment.tolerance
        ):
            return True
    return False


def _trials(
    pair: Pair, alignment: Alignment, op: Operator, through: Operator | None
) -> Iterator[tuple[Culprit, float]]:
    """Each tensor of the reference that, in the place of the operator's output, puts some or all
    of what follows right, with the share of its consumers that are. `through`: an operator that
    must be right then by itself, and not because it passes on what it is given."""
    for name in op.outputs:
        current = alignment.value(name)
        outputs = {mine: other for other, mine in pair.outputs}
        if name in outputs and not pair.consumers.get(name):
            other = outputs[name]
            value = _expected_output(alignment, name, other, current)
            if value is not None:
                yield Culprit(op, name, other, value), 1.0
            continue
        if not pair.consumers.get(name):
            continue
        for other, value in counterparts(pair, alignment, op, name, current):
            if current is not None and value.shape == current.shape:
                if relative_error(current, value) <= alignment.tolerance:
                    continue
            if not _possible(alignment, op, value):
                continue
            culprit = Culprit(op, name, other, value)
            if _saturates(alignment, name, current, value):
                yield culprit, 1.0
                continue
            share = _put_right(pair, alignment, name, other, value, through)
            if share:
                yield culprit, share


def _expected_output(
    alignment: Alignment, name: str, other: str, current: Array | None
) -> Array | None:
    expected = alignment.pair.expected[other]
    if current is None or current.shape == expected.shape:
        return expected
    for layout in layouts(expected.shape, current.shape):
        return layout.arrange(expected, current.shape)
    return expected


def _saturates(alignment: Alignment, name: str, current: Array | None, value: Array) -> bool:
    """Whether the tensor's scale cannot hold the expected values, and that is all that is wrong."""
    trace = alignment.pair.candidate
    step = trace.step(name)
    if step is None or current is None or current.shape != value.shape:
        return False
    held = trace.represent(name, value)
    lost = deviation(held, value)
    state = alignment.state(name)
    allowed = alignment.allowed(name, current, state.noisy if state else None)
    if lost.within(allowed):
        return False
    # What is left once the loss is taken as given is small against it.
    return max(deviation(current, held)) <= max(lost) / 2


def counterparts(
    pair: Pair, alignment: Alignment, op: Operator, name: str, current: Array | None
) -> Iterator[tuple[str, Array]]:
    """Tensors of the reference that may be meant by an output of the operator, the likeliest
    first, in the layouts that fit: the one of its name, those near the counterparts of the
    operator's inputs, those nearest in value."""
    if name in pair.named:
        yield pair.named[name], pair.expected[pair.named[name]]
        return
    near = _neighbours(pair, alignment, op)
    same_size = [] if current is None else pair.expected.of_size(current.size)
    ranked: list[tuple[float, str, Layout | None]] = []
    for other in dict.fromkeys([*near, *same_size]):
        if other not in pair.expected or other not in pair.reference_producers:
            continue
        stored = pair.expected[other]
        depth = near.get(other, NEIGHBOURHOOD + 1)
        if current is not None and stored.size == current.size:
            for at, layout in enumerate(layouts(stored.shape, current.shape)):
                if at >= MAX_LAYOUTS:
                    break
                ranked.append((depth + at / MAX_LAYOUTS, other, layout))
        if current is None or (stored.shape != current.shape and stored.ndim == current.ndim):
            ranked.append((depth + 1.0, other, None))
    ranked.sort(key=lambda item: item[0])
    for _, other, layout in ranked[: MAX_COUNTERPARTS * 2]:
        stored = pair.expected[other]
        if layout is None:
            yield other, np.asarray(stored)
            if stored.ndim >= 3:
                yield other, np.moveaxis(stored, -1, 1)
                yield other, np.moveaxis(stored, 1, -1)
        elif current is not None:
            yield other, layout.arrange(stored, current.shape)


def _neighbours(pair: Pair, alignment: Alignment, op: Operator) -> dict[str, int]:
    """The reference's tensors computed from the counterparts of the operator's inputs, with the
    number of operators in between."""
    front: set[str] = set()
    for name in op.fed:
        state = alignment.state(name)
        front |= {match.name for match in state.matches} if state else set()
    found: dict[str, int] = {}
    for depth in range(1, NEIGHBOURHOOD + 1):
        following: set[str] = set()
        for name in sorted(front):
            for user in pair.reference_consumers.get(name, []):
                following |= {out for out in user.outputs if out not in found}
        found |= dict.fromkeys(sorted(following), depth)
        front = following
    return found


def _put_right(
    pair: Pair,
    alignment: Alignment,
    name: str,
    other: str,
    value: Array,
    through: Operator | None,
) -> float:
    """The share of the consumers of the tensor that are right once it holds `value`."""
    trial = Alignment(pair, alignment.tolerance, base=alignment)
    trial.give(name, pair.candidate.represent(name, value))
    known = {match.name for match in pair.expected.matches(value, alignment.bound)} | {other}
    outputs = {mine: theirs for theirs, mine in pair.outputs}
    affected, verdict = {name}, {}
    visited: list[Operator] = []
    for op in pair.candidate.operators:
        if not affected.intersection(op.fed):
            continue
        trial.visit_fresh(op)
        visited.append(op)
        for out in op.outputs:
            state = trial.state(out)
            right = state is not None and any(match.name not in known for match in state.matches)
            if out in outputs:
                right = _agrees(trial, out, outputs[out])
            verdict[out] = right
            before = alignment.state(out)
            if not right or before is None or not before.matches:
                affected.add(out)
        if len(visited) >= MAX_FOLLOWED:
            break
    if through is not None and not any(verdict.get(out, False) for out in through.outputs):
        return 0.0
    for op in reversed(visited):
        for out in op.outputs:
            if not verdict[out] and out not in outputs:
                users = [user for user in pair.consumers.get(out, []) if user in visited]
                every = pair.consumers.get(out, [])
                verdict[out] = (
                    bool(every)
                    and len(users) == len(every)
                    and all(any(verdict[o] for o in user.outputs) for user in users)
                )
    users = pair.consumers.get(name, [])
    if not users:
        return 0.0
    good = sum(any(verdict.get(out, False) for out in user.outputs) for user in users)
    return good / len(users)
