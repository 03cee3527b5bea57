"""The reference's tensors that an output of a candidate's operator may stand for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from taxiway.parity.align import Alignment
from taxiway.parity.kinds import MOVES
from taxiway.parity.layout import Layout, layouts
from taxiway.parity.pair import Pair
from taxiway.parity.trace import Operator

Array = np.ndarray[Any, Any]
MAX_COUNTERPARTS = 16
BEYOND = 2
"""How many operators of the reference a healthy one may have left out: an activation, a bias."""
MAX_LAYOUTS = 6
NEIGHBOURHOOD = 8
"""Operators of the reference between the counterparts of a suspect's inputs and of its output."""


def counterparts(
    pair: Pair, alignment: Alignment, op: Operator, name: str, healthy: bool
) -> Iterator[tuple[str, Array]]:
    """Tensors of the reference that may be meant by an output of the operator, the nearest first,
    in the layouts that fit: the one of its name, those computed from the counterparts of its
    inputs; for a healthy one, which equals a tensor already, those computed from that one."""
    if name in pair.named:
        yield pair.named[name], pair.expected[pair.named[name]]
        return
    current, moves = alignment.value(name), op.type in MOVES
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
    for _, other, fitting in ranked[: 2 * MAX_COUNTERPARTS]:
        stored = pair.expected[other]
        if fitting is None:
            yield other, np.asarray(stored)
            if stored.ndim >= 3:
                yield other, np.moveaxis(stored, -1, 1)
                yield other, np.moveaxis(stored, 1, -1)
        elif current is not None:
            yield other, fitting.arrange(stored, current.shape)


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
    return ancestors(pair, front)


def ancestors(pair: Pair, names: Sequence[str]) -> set[str]:
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
