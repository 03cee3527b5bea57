"""Puts the reference's tensors in the place of the candidate's, to see what comes right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from taxiway.parity.align import Alignment
from taxiway.parity.counterparts import ancestors, counterparts
from taxiway.parity.kinds import moved, possible, static_operators
from taxiway.parity.layout import layouts
from taxiway.parity.pair import Pair
from taxiway.parity.relative import deviation, relative_error
from taxiway.parity.trace import Operator

Array = np.ndarray[Any, Any]
REACHES = (10, 64)
"""Operators after a suspect that are computed to see whether one of them is right: few at first."""


class Culprit(NamedTuple):
    """An operator, the tensor it gets wrong, the reference's tensor of that place, and its value
    in the candidate's layout; None where no tensor of the reference puts things right."""

    operator: Operator
    tensor: str
    counterpart: str | None
    expected: Array | None


class Search:
    """Tries the reference's tensors in the place of the candidate's."""

    def __init__(self, pair: Pair, alignment: Alignment, open_: set[str]) -> None:
        self.pair, self.alignment, self.open = pair, alignment, open_
        self._outputs = {mine: other for other, mine in pair.outputs}
        self._static = static_operators(pair.candidate.operators)

    def best(
        self, op: Operator, through: Operator | None, reach: int
    ) -> tuple[Culprit | None, float]:
        """The trial that puts most right."""
        found: Culprit | None = None
        most = 0.0
        for culprit, share in self.trials(op, through, reach):
            if share > most:
                found, most = culprit, share
            if share == 1.0 or culprit.tensor in self.pair.named:
                return culprit, 1.0
        return found, most

    def trials(
        self, op: Operator, through: Operator | None, reach: int
    ) -> Iterator[tuple[Culprit, float]]:
        """Each tensor of the reference that, in the place of the operator's output, puts some or
        all of what follows right, with the share of its consumers that are.

        through: an operator that must be right then by itself, and not because it passes on what
        it is given. reach: operators that are computed to find a first one that is right.
        """
        pair, alignment = self.pair, self.alignment
        for name in op.outputs:
            current = alignment.value(name)
            state = alignment.state(name)
            healthy = state is not None and bool(state.matches)
            if name in self._outputs and not pair.consumers.get(name):
                other = self._outputs[name]
                yield Culprit(op, name, other, _expected_output(pair, other, current)), 1.0
                continue
            if not pair.consumers.get(name):
                continue
            for other, value in counterparts(pair, alignment, op, name, healthy):
                if (
                    current is not None
                    and value.shape == current.shape
                    and relative_error(current, value) <= alignment.tolerance
                ):
                    continue
                if not possible(alignment, op, value):
                    continue
                if through is not None and moved(op, current, value):
                    continue
                culprit = Culprit(op, name, other, value)
                if not healthy and _saturates(alignment, name, current, value):
                    yield culprit, 1.0
                    continue
                share = self._put_right(name, other, value, through, reach)
                if share and reach < REACHES[-1]:
                    share = self._put_right(name, other, value, through, REACHES[-1])
                if share:
                    yield culprit, share

    def _put_right(
        self, name: str, other: str, value: Array, through: Operator | None, reach: int
    ) -> float:
        """The share of the consumers of the tensor that are right once it holds `value`."""
        pair, alignment = self.pair, self.alignment
        trial = Alignment(pair, alignment.tolerance, base=alignment)
        trial.give(name, pair.candidate.represent(name, value))
        known = {match.name for match in pair.expected.matches(value, alignment.bound)} | {other}
        known |= ancestors(pair, [other])
        affected = {name}
        verdict: dict[str, bool] = {}
        visited: list[Operator] = []
        users = pair.consumers.get(name, [])
        waiting = {user.index for user in users}
        current = alignment.value(name)
        reshaped = current is None or current.shape != value.shape
        for op in pair.candidate.operators:
            if not affected.intersection(op.fed):
                continue
            if op.index in self._static and not reshaped:
                verdict |= dict.fromkeys(op.outputs, True)
                waiting.discard(op.index)
                continue
            trial.visit_fresh(op)
            visited.append(op)
            for out in op.outputs:
                verdict[out] = self._right(trial, out, known)
                before = alignment.state(out)
                if not verdict[out] or before is None or not before.matches:
                    affected.add(out)
            if any(verdict[out] for out in op.outputs):
                waiting.discard(op.index)
            if len(visited) >= reach or not waiting:
                break
        if through is not None and not any(verdict.get(out, False) for out in through.outputs):
            return 0.0
        self._carry_back(visited, verdict)
        good = sum(any(verdict.get(out, False) for out in user.outputs) for user in users)
        return good / len(users)

    def _right(self, trial: Alignment, name: str, known: set[str]) -> bool:
        """Whether a tensor after the replaced one is another of the reference's, or was in order
        and is what it was: the shape of the replaced one, for instance."""
        if name in self._outputs:
            return agrees(trial, name, self._outputs[name])
        pair, state = self.pair, trial.state(name)
        if state is not None and any(match.name not in known for match in state.matches):
            return True
        if name in self.open and pair.producers[name].index not in self._static:
            return False
        now, before = trial.value(name), self.alignment.value(name)
        return now is not None and before is not None and bool(np.array_equal(now, before))

    def _carry_back(self, visited: list[Operator], verdict: dict[str, bool]) -> None:
        """A tensor that the reference does not have is right where all that takes it is."""
        seen = {op.index for op in visited} | self._static
        for op in reversed(visited):
            for out in op.outputs:
                users = self.pair.consumers.get(out, [])
                if verdict[out] or out in self._outputs or not users:
                    continue
                verdict[out] = all(
                    user.index in seen
                    and any(verdict.get(o, user.index in self._static) for o in user.outputs)
                    for user in users
                )


def agrees(alignment: Alignment, name: str, other: str) -> bool:
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


def _expected_output(pair: Pair, other: str, current: Array | None) -> Array:
    expected = pair.expected[other]
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
