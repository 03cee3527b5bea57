"""Follows a candidate operator by operator, each fed with what the reference computed.

A tensor of the candidate is aligned where it holds the same numbers as one of the reference, in any
layout, and from there on the reference's own numbers stand for it, so that no error is carried
further than the operator that made it. One that equals none is pending: an intermediate that the
other side does not have (a fused or decomposed operator), or a fault. It is the former where
everything computed from it is aligned again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from taxiway.errors import StepError
from taxiway.parity.layout import Layout
from taxiway.parity.noise import MARGIN, own_rounding, shaken
from taxiway.parity.pair import Pair
from taxiway.parity.relative import EQUAL, Deviation, deviation
from taxiway.parity.trace import Operator
from taxiway.parity.values import Match

Array = np.ndarray[Any, Any]
MAX_MATCHES = 16
MAX_REGION = 32
"""Operators run as one where they cannot be run alone."""


_ANY = Deviation(float("inf"), float("inf"))

MOST_EXPLAINED = 0.25
"""A result that rounding alone can move by more than that says nothing: it is pending."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a candidate's tensor.

    matches: the reference's tensors that it equals, the best first; none where it is pending.
    value: of a pending one, computed from the reference's tensors.
    noisy: the same, computed from shaken ones; None where that was not needed.
    whole: taken from the run of the whole candidate.
    """

    matches: tuple[Match, ...] = ()
    value: Any = None
    noisy: Any = None
    whole: bool = False


class Alignment:
    """States of the candidate's tensors at one tolerance."""

    def __init__(self, pair: Pair, tolerance: float, base: Alignment | None = None) -> None:
        self.pair, self.tolerance = pair, tolerance
        # A calibrated range leaves single outliers out: there only the whole counts.
        self.bound = Deviation(tolerance, float("inf") if pair.coarse else tolerance)
        self._base = base
        self._states: dict[str, State] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self.given: dict[str, Array] = {}
        self.opaque: set[str] = set()
        """Tensors that could not be computed."""

    def state(self, name: str) -> State | None:
        found = self._states.get(name)
        if found is None and self._base is not None and name not in self.opaque:
            return self._base.state(name)
        return found

    def set(self, name: str, state: State) -> None:
        self._states[name] = state

    def give(self, name: str, value: Array) -> None:
        """Let `value` stand for a tensor."""
        self.given[name] = value

    def value(self, name: str) -> Array | None:
        """What the operators that take this tensor are fed with; None where there is nothing."""
        if name in self.given:
            return self.given[name]
        if name not in self._states and self._base is not None:
            return None if name in self.opaque else self._base.value(name)
        state = self._states.get(name)
        if state is None:
            constant = self.pair.candidate.constant(name)
            return constant
        if state.matches:
            return self._arranged(name, state.matches[0])
        return self.pair.actual[name] if state.value is None else state.value

    def _arranged(self, name: str, match: Match) -> Array:
        """The reference's numbers in the shape and dtype of the candidate's tensor."""
        value = match.layout.arrange(self.pair.expected[match.name], self._shapes[name])
        return self.pair.candidate.represent(name, value)

    def noisy(self, name: str, op: Operator) -> Array | None:
        """`value`, shaken by its own rounding; None for a constant that is exact."""
        value = self.value(name)
        if value is None:
            return None
        step = self.pair.step(name, value, name in op.constants)
        if name in op.constants:
            # Integers of one or no axis are zero points, shapes and biases.
            return shaken(name, value, step) if step is not None and value.ndim > 1 else None
        state = self.state(name)
        if name not in self.given and state is not None and not state.matches:
            return value if state.noisy is None else state.noisy
        if step is None and value.dtype.kind == "f" and self._dynamic(op):
            # A kernel with integer weights rounds its real input to 8 bits, too.
            step = float(np.max(np.abs(value), initial=0)) / 127 or None
        return shaken(name, value, step)

    def _dynamic(self, op: Operator) -> bool:
        """Whether the operator has integer weights, which the reference has not."""
        for name in op.constants:
            value = self.pair.candidate.constant(name)
            if value is not None and self.pair.step(name, value, constant=True) is not None:
                return True
        return False

    def set_input(self, name: str, other: str | None) -> None:
        """An input of the model, which holds what the reference's input `other` holds."""
        value = self.pair.actual[name]
        match = None
        for bound in (self.bound, self.allowed(name, value, None), _ANY):
            match = match or (self.pair.expected.compare(other, value, bound) if other else None)
        matches = (match,) if match else self.find(name, value, self.bound)
        self._shapes[name] = value.shape
        self.set(name, State(matches=matches, value=None if matches else value, whole=True))

    def visit_fresh(self, op: Operator) -> None:
        """`visit`, whatever the run of the whole candidate gave."""
        self._visit_alone(op)

    def visit(self, op: Operator) -> None:
        """Compute the operator's outputs and find them in the reference."""
        actual = self.pair.actual
        states = [self.state(name) for name in op.fed]
        whole = all(
            state is not None and state.whole and name not in self.given
            for name, state in zip(op.fed, states, strict=True)
        )
        if whole and all(name in actual for name in op.outputs):
            found = {name: self.find(name, actual[name], self.bound) for name in op.outputs}
            if all(found.values()) or not any(s and s.matches for s in states):
                for name, matches in found.items():
                    self._shapes[name] = actual[name].shape
                    self.set(name, State(matches=matches, whole=True))
                return
        self._visit_alone(op)

    def _visit_alone(self, op: Operator) -> None:
        results = self.execute(op)
        if results is None:
            self.opaque.update(op.outputs)
            return
        found = {name: self.find(name, value, self.bound) for name, value in results.items()}
        noisy: Mapping[str, Array] = {}
        if not all(found.values()):
            noisy = self.execute(op, noisy=True) or {}
            for name, value in results.items():
                if not found[name] and name in noisy:
                    wider = self.allowed(name, value, noisy[name])
                    if wider != self.bound:
                        found[name] = self.find(name, value, wider)
        for name, value in results.items():
            self._shapes[name] = value.shape
            if found[name]:
                self.set(name, State(matches=found[name]))
            else:
                self.set(name, State(value=value, noisy=noisy.get(name)))

    def allowed(self, name: str, value: Array, noisy: Array | None) -> Deviation:
        """The bound on a difference in `value`: the tolerance, or what rounding explains, in what
        the operator was fed with and in what it gives."""
        explained = EQUAL if noisy is None else deviation(noisy, value)
        if not np.isfinite(explained.whole):
            explained = EQUAL
        rms, worst = own_rounding(value, self.pair.step(name, value, constant=False))
        explained = Deviation(explained.whole + rms, explained.worst + worst)
        if MARGIN * explained.whole > MOST_EXPLAINED:
            return self.bound
        return self.bound.widened(explained, MARGIN)

    def execute(self, op: Operator, noisy: bool = False) -> dict[str, Array] | None:
        """The operator's outputs from what it is fed with; None where nothing can be computed."""
        for region in self.regions(op):
            try:
                return self.pair.candidate.run(region, self._feeds(region, noisy), op.outputs)
            except StepError:
                continue
        return None

    def _feeds(self, region: Sequence[Operator], noisy: bool) -> dict[str, Array]:
        made = {name for member in region for name in member.outputs}
        feeds: dict[str, Array] = {}
        for member in region:
            for name in member.inputs if noisy else member.fed:
                if name not in made and name not in feeds:
                    value = self.noisy(name, member) if noisy else self.value(name)
                    feeds |= {} if value is None else {name: value}
        return feeds

    def runs(self, region: Sequence[Operator], op: Operator) -> bool:
        """Whether these operators can be run as one to compute the outputs of `op`."""
        feeds = self._feeds(region, noisy=False)
        try:
            self.pair.candidate.run(region, feeds, op.outputs)
        except StepError:
            return False
        return True

    def regions(self, op: Operator) -> Iterator[list[Operator]]:
        """The operator alone, then with more and more of those before it, in their order; all of
        what it takes from outside is known."""
        members = {op.index: op}
        for _ in range(MAX_REGION):
            made = {name for member in members.values() for name in member.outputs}
            missing = [
                name
                for member in members.values()
                for name in member.fed
                if name not in made and self.value(name) is None
            ]
            if not missing:
                yield [members[index] for index in sorted(members)]
                missing = [name for m in members.values() for name in m.fed if name not in made]
            added = [self.pair.producers[n] for n in missing if n in self.pair.producers]
            if not added or len(members) + len(added) > MAX_REGION:
                return
            members |= {member.index: member for member in added}

    def undecided(self, op: Operator) -> list[Operator]:
        """The operator and those before it whose results the reference does not have, in their
        order: seen from outside, any of them may be the one."""
        members = {op.index: op}
        waiting = list(op.fed)
        while waiting and len(members) < MAX_REGION:
            name = waiting.pop()
            state, maker = self.state(name), self.pair.producers.get(name)
            known = name in self.pair.candidate.inputs or (state is not None and state.matches)
            if maker is None or known or maker.index in members:
                continue
            value = self.value(name)
            if maker.fed and (value is None or value.dtype.kind == "f"):
                members[maker.index] = maker
                waiting += maker.fed
        return [members[index] for index in sorted(members)]

    def find(self, name: str, value: Array, bound: Deviation) -> tuple[Match, ...]:
        """The reference's tensors that hold `value`, the best first."""
        expected = self.pair.expected
        other = self.pair.named.get(name)
        if other is not None:
            stored = expected[other]
            error = deviation(value, stored)
            if not error.within(bound):
                return ()
            order = tuple(range(sum(size != 1 for size in stored.shape)))
            return (Match(other, Layout(order), max(error)),)
        found: list[Match] = []
        for match in expected.matches(value, bound):
            found.append(match)
            if len(found) >= MAX_MATCHES:
                break
        return tuple(sorted(found, key=lambda match: (not match.layout.plain, match.error)))
