"""Names the operator that makes the difference: the first whose result, replaced by the
reference's, puts everything after it right.

An operator is not blamed for what it was fed with (that is the reference's own), nor for a result
that the reference does not have (as long as what follows from it is right). One that passes its
input on, like an Identity in the place of a Relu, is in order by its numbers alone; it is found
because the operators after it are right with another tensor of the reference in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from taxiway.parity.align import Alignment, Pair
from taxiway.parity.layout import Layout, layouts
from taxiway.parity.relative import deviation, relative_error
from taxiway.parity.trace import Operator
from taxiway.parity.values import Match

Array = np.ndarray[Any, Any]
REACHES = (10, 64)
"""Operators after a suspect that are computed to see whether one of them is right: few at first."""
ENOUGH = 0.5
"""The share of a suspect's consumers that must be right with another result of it: one that comes
together with others is out of reach, or wrong for a reason of its own."""
MAX_SUSPECTS = 40
MAX_COUNTERPARTS = 16
SIMILAR = 0.5
"""Relative error up to which a result is taken for a wrong version of a tensor of the reference,
where nothing else says so."""
BEYOND = 2
"""How many operators of the reference a healthy one may have left out: an activation, a bias."""
MAX_LAYOUTS = 6
NEIGHBOURHOOD = 8
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
    static = _static(pair.candidate.operators)
    heads = [op for op in pending if op.index not in static] or pending
    if not heads:
        return None
    first = heads[0]
    before = [op for op in pending if op.index < first.index and not _counts(alignment, op)]
    after = [op for op in pending if op.index > first.index and op.index not in static]
    after = [*after[:MAX_SUSPECTS], *(op for op in pending if op.index in static)]
    upstream = list(_upstream(pair, alignment, first))
    order = [*upstream, *before, first, *after]
    through = first
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


def _counts(alignment: Alignment, op: Operator) -> bool:
    """Whether the operator gives integers: a shape or an index on its way to a reshape."""
    value = alignment.value(op.outputs[0])
    return value is None or value.dtype.kind in "iub"


def _static(operators: Sequence[Operator]) -> set[int]:
    """Numbers of the operators that compute with shapes and constants alone."""
    made: set[str] = set()
    found: set[int] = set()
    for op in operators:
        if op.type in _SHAPES or all(name in made for name in op.fed):
            made.update(op.outputs)
            found.add(op.index)
    return found


def absorbed(pair: Pair, alignment: Alignment) -> Culprit | None:
    """The first operator off by more than rounding explains, where the steps of a quantized model
    take in the difference again before it reaches an output; None where there is none.

    It is fed with the reference's tensors alone, and its counterpart is the one of its name, or the
    nearest of those that follow from its inputs.
    """
    static = _static(pair.candidate.operators)
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


_SHAPES = {"Shape", "ShapeN", "Size", "Rank", "SHAPE", "RANK"}
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


def _moved(op: Operator, current: Array | None, value: Array) -> bool:
    """Whether `value` is what an operator gave, in another order, and it is none that moves."""
    if op.type in _MOVES or current is None or current.size != value.size:
        return False
    return relative_error(np.sort(current, axis=None), np.sort(value, axis=None)) <= 1e-5


class Search:
    """Tries the reference's tensors in the place of the candidate's."""

    def __init__(self, pair: Pair, alignment: Alignment, open_: set[str]) -> None:
        self.pair, self.alignment, self.open = pair, alignment, open_
        self._outputs = {mine: other for other, mine in pair.outputs}
        self._static = _static(pair.candidate.operators)

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
                if current is not None and value.shape == current.shape:
                    if relative_error(current, value) <= alignment.tolerance:
                        continue
                if not _possible(alignment, op, value):
                    continue
                if through is not None and _moved(op, current, value):
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
        known |= _ancestors(pair, [other])
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
            return _agrees(trial, name, self._outputs[name])
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
                    user.index in seen and any(verdict.get(o, user.index in self._static) for o in user.outputs)
                    for user in users
                )


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


def counterparts(
    pair: Pair, alignment: Alignment, op: Operator, name: str, healthy: bool
) -> Iterator[tuple[str, Array]]:
    """Tensors of the reference that may be meant by an output of the operator, the nearest first,
    in the layouts that fit: the one of its name, those computed from the counterparts of its
    inputs; for a healthy one, which equals a tensor already, those computed from that one."""
    if name in pair.named:
        yield pair.named[name], pair.expected[pair.named[name]]
        return
    current, moves = alignment.value(name), op.type in _MOVES
    if healthy and not moves:
        state = alignment.state(name)
        near = _following(pair, {m.name for m in state.matches} if state else set(), BEYOND)
    else:
        near = _neighbours(pair, alignment, op)
    same_size = [] if current is None or near else pair.expected.of_size(current.size)
    earlier = set() if moves else _earlier(pair, alignment, op)
    ranked: list[tuple[float, str, Layout | None]] = []
    for other in dict.fromkeys([*near, *same_size]):
        if other not in pair.expected or other not in pair.reference_producers or other in earlier:
            continue
        stored = pair.expected[other]
        depth = near.get(other, NEIGHBOURHOOD + 1)
        if current is not None and stored.size == current.size:
            for at, layout in enumerate(layouts(stored.shape, current.shape)):
                if at >= MAX_LAYOUTS:
                    break
                ranked.append((depth + at / MAX_LAYOUTS, other, layout))
        other_shape = current is None or (
            stored.shape != current.shape and stored.ndim == current.ndim
        )
        if other_shape and depth <= BEYOND + 1 and (moves or not healthy):
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
    waiting, seen = list(op.fed), set(op.fed)
    while waiting:
        name = waiting.pop()
        state = alignment.state(name)
        if state is not None and state.matches:
            front |= {match.name for match in state.matches}
        elif name in pair.producers:
            # What is pending came from something that is not.
            new = [fed for fed in pair.producers[name].fed if fed not in seen]
            waiting += new
            seen.update(new)
    return _following(pair, front, NEIGHBOURHOOD)


def _following(pair: Pair, front: set[str], depths: int) -> dict[str, int]:
    """The reference's tensors computed from these, with the number of operators in between."""
    found: dict[str, int] = {}
    for depth in range(1, depths + 1):
        following: set[str] = set()
        for name in sorted(front):
            for user in pair.reference_consumers.get(name, []):
                following |= {out for out in user.outputs if out not in found}
        found |= dict.fromkeys(sorted(following), depth)
        front = following
    return found


def _earlier(pair: Pair, alignment: Alignment, op: Operator) -> set[str]:
    """The reference's tensors from which the counterparts of the operator's inputs are computed:
    none of them can be its output."""
    front = []
    for name in op.fed:
        state = alignment.state(name)
        front += [state.matches[0].name] if state is not None and state.matches else []
    return _ancestors(pair, front)


def _ancestors(pair: Pair, names: Sequence[str]) -> set[str]:
    """The reference's tensors from which these are computed."""
    found: set[str] = set()
    front = list(names)
    while front:
        maker = pair.reference_producers.get(front.pop())
        for name in maker.fed if maker else ():
            if name not in found:
                found.add(name)
                front.append(name)
    return found
