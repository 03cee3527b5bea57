"""What kinds of operators do by their nature: compute with shapes alone, or move elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from taxiway.parity.align import Alignment
from taxiway.parity.relative import relative_error
from taxiway.parity.trace import Operator

Array = np.ndarray[Any, Any]
_SHAPES = {"Shape", "ShapeN", "Size", "Rank", "SHAPE", "RANK"}
_RESHAPES = {
    "Reshape", "Squeeze", "Unsqueeze", "Flatten", "ExpandDims", "RESHAPE", "SQUEEZE", "EXPAND_DIMS",
}  # fmt: skip
MOVES = {"Transpose", "TRANSPOSE", *_RESHAPES}


def static_operators(operators: Sequence[Operator]) -> set[int]:
    """Numbers of the operators that compute with shapes and constants alone."""
    made: set[str] = set()
    found: set[int] = set()
    for op in operators:
        if op.type in _SHAPES or all(name in made for name in op.fed):
            made.update(op.outputs)
            found.add(op.index)
    return found


def counts(alignment: Alignment, op: Operator) -> bool:
    """Whether the operator gives integers: a shape or an index on its way to a reshape."""
    value = alignment.value(op.outputs[0])
    return value is None or value.dtype.kind in "iub"


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


def possible(alignment: Alignment, op: Operator, value: Array) -> bool:
    """Whether an operator of this kind could have given `value` at all: one that moves elements
    gives those it took, and a reshape in the same order."""
    if op.type not in MOVES:
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


def moved(op: Operator, current: Array | None, value: Array) -> bool:
    """Whether `value` is what an operator gave, in another order, and it is none that moves."""
    if op.type in MOVES or current is None or current.size != value.size:
        return False
    return relative_error(np.sort(current, axis=None), np.sort(value, axis=None)) <= 1e-5
