"""Integers that a graph computes from shapes: which of them are numbers of channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taxiway.optimize.channels.numbering import Ids
from taxiway.optimize.channels.signal import Signal

PASSING = frozenset({"Cast", "Identity", "Squeeze", "Unsqueeze"})
"""Operators that leave a list of integers, or a single one, as it is."""


@dataclass(frozen=True)
class Size:
    """One integer.

    value: with some size for a free axis. ids: the channels that it counts, None where it counts none.
    free: whether it is the size of a free axis. constant: whether the file holds it.
    """

    value: int
    ids: Ids | None = None
    free: bool = False
    constant: bool = False


Sizes = Sequence[Size]
Known = Callable[[int], np.ndarray[Any, Any] | None]


def of_constant(values: np.ndarray[Any, Any]) -> Sizes | None:
    """A constant of integers, None where it is another one."""
    if values.dtype.kind not in "iu" or values.ndim > 1:
        return None
    return [Size(int(value), constant=True) for value in values.ravel()]


def of_shape(signal: Signal, start: int, end: int | None) -> Sizes:
    """What Shape gives."""
    sizes = [Size(*each) for each in zip(signal.shape, signal.axes, signal.free, strict=True)]
    return sizes[start:end]


def moved(node: Any, inputs: Sequence[Sizes | None], known: Known) -> Sizes | None:
    """What an operator gives that only moves integers; None where it does more.

    inputs: what is known of each input. known: the array of an input that is constant.
    """
    first = inputs[0] if inputs else None
    if node.op_type in PASSING:
        return first
    if node.op_type == "Concat":
        parts = [part for part in inputs if part is not None]
        return [size for part in parts for size in part] if len(parts) == len(inputs) else None
    if first is None:
        return None
    if node.op_type == "Gather":
        places = known(1)
        return None if places is None else [first[int(at)] for at in places.ravel()]
    if node.op_type == "Slice":
        bounds = [known(at) for at in range(1, len(node.input))]
        if len(bounds) < 2 or any(bound is None or bound.size != 1 for bound in bounds):
            return None
        start, end, *more = (int(bound.item()) for bound in bounds if bound is not None)
        return first[start : end : more[1] if len(more) > 1 else 1]
    return None
