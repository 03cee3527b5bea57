"""Names the operator that makes the difference: the first whose result, replaced by the
reference's, puts everything after it right.

An operator is not blamed for what it was fed with (that is the reference's own), nor for a result
that the reference does not have (as long as what follows from it is right). One that passes its
input on, like an Identity in the place of a Relu, is in order by its numbers alone; it is found
because the operators after it are right with another tensor of the reference in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from taxiway.parity.align import Alignment
from taxiway.parity.counterparts import counterparts
from taxiway.parity.kinds import counts, passes_on, static_operators
from taxiway.parity.pair import Pair
from taxiway.parity.relative import deviation
from taxiway.parity.search import REACHES, Culprit, Search, agrees
from taxiway.parity.trace import Operator

Array = np.ndarray[Any, Any]
ENOUGH = 0.5
"""The share of a suspect's consumers that must be right with another result of it: one that comes
together with others is out of reach, or wrong for a reason of its own."""
MAX_SUSPECTS = 40
SIMILAR = 0.5
"""Relative error up to which a result is taken for a wrong version of a tensor of the reference,
where nothing else says so."""


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
        if other in pair.expected and not agrees(alignment, name, other)
    }


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
    static = static_operators(pair.candidate.operators)
    heads = [op for op in pending if op.index not in static] or pending
    if not heads:
        return None
    first = heads[0]
    before = [op for op in pending if op.index < first.index and not counts(alignment, op)]
    after = [op for op in pending if op.index > first.index and op.index not in static]
    after = [*after[:MAX_SUSPECTS], *(op for op in pending if op.index in static)]
    upstream = list(_upstream(pair, alignment, first))
    order = [*upstream, *before, first, *after]
    through: Operator | None = first
    if passes_on(alignment, first):
        # One that only passes on what it got is suspected before those it got it from.
        order, through = [first, *upstream, *before, *after], None
    search = Search(pair, alignment, open_)
    for reach in REACHES:
        partly: Culprit | None = None
        for op in order:
            healthy = op in upstream
            culprit, share = search.best(op, through if healthy else None, reach)
            if culprit is not None:
                # A result that was in order must explain everything that is wrong after it.
                if share == 1.0 or (not healthy and share >= ENOUGH):
                    return culprit
                partly = partly or culprit
        if partly is not None:
            return partly
    return Culprit(first, first.outputs[0], None, None)


def absorbed(pair: Pair, alignment: Alignment) -> Culprit | None:
    """The first operator off by more than rounding explains, where the steps of a quantized model
    take in the difference again before it reaches an output; None where there is none.

    It is fed with the reference's tensors alone, and its counterpart is the one of its name, or the
    nearest of those that follow from its inputs.
    """
    static = static_operators(pair.candidate.operators)
    for op in pair.candidate.operators:
        states = [alignment.state(name) for name in op.fed]
        if op.index in static or not all(state and state.matches for state in states):
            continue
        for name in op.outputs:
            state, value = alignment.state(name), alignment.value(name)
            if state is None or state.matches or value is None or value.dtype.kind != "f":
                continue
            nearest: tuple[float, Culprit] | None = None
            for other, expected in counterparts(pair, alignment, op, name, healthy=False):
                error = deviation(value, expected).whole
                if (error <= SIMILAR or name in pair.named) and (
                    nearest is None or error < nearest[0]
                ):
                    nearest = error, Culprit(op, name, other, expected)
            if nearest is not None:
                return nearest[1]
    return None


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
