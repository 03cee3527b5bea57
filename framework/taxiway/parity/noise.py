"""How much of a difference rounding explains: the operator again, on slightly different numbers.

A computed result is as good as can be asked for where it is the exact one for inputs that differ
from the given ones by no more than their own rounding (backward error analysis: N. Higham,
Accuracy and Stability of Numerical Algorithms, 2nd ed., chapter 1). So every tensor is shaken by
what its own type cannot resolve, and what comes out differently is explained. That covers
cancellation, ties of a rounding and the steps of quantized tensors and weights alike.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MARGIN = 5.0
"""How many times the explained difference an error must be to count as one: five standard
deviations."""
_STEP_VARIANCE = 1.0 / 12
"""Of a rounding error, uniform over one step."""
_FLOAT_STEPS = 4.0


def shaken(name: str, value: Array, step: Array | float | None) -> Array:
    """`value` with a rounding error of its type added, the same one for the same name.

    step: the distance of neighbouring values of a quantized tensor. One in twelve elements, and at
    least one, moves by a whole step, which has the variance of rounding, 1/12 step^2.
    """
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if step is not None:
        chosen = random.random(value.shape)
        count = max(1, round(value.size * _STEP_VARIANCE))
        moved = chosen <= np.partition(chosen, count - 1, axis=None)[count - 1] if value.size else 0
        sign = random.choice(np.array([-1, 1], np.int8), value.shape)
        shifted: Array = value + np.where(moved, sign, 0) * np.asarray(step)
        return shifted.astype(value.dtype)
    if value.dtype.kind not in "fcV":
        return value
    eps = _eps(value.dtype)
    relative = 1 + _FLOAT_STEPS * eps * (2 * random.random(value.shape) - 1)
    return (value.astype(np.float64 if value.dtype.kind != "c" else value.dtype) * relative).astype(
        value.dtype
    )


def _eps(dtype: np.dtype[Any]) -> float:
    if dtype.kind == "V":
        import ml_dtypes

        return float(ml_dtypes.finfo(dtype).eps)  # type: ignore[no-untyped-call]
    return float(np.finfo(dtype).eps)


def own_rounding(value: Array, step: Array | float | None) -> tuple[float, float]:
    """A tensor's own rounding: its root mean square relative to that of the values, and its largest
    relative to the largest value."""
    if step is None or not value.size:
        return 0.0, 0.0
    wide = value.astype(np.float64)
    rms, top = float(np.sqrt(np.mean(np.square(wide)))), float(np.max(np.abs(wide)))
    if not top:
        return 0.0, 0.0
    spread = float(np.sqrt(np.mean(np.square(step)) * _STEP_VARIANCE))
    # The margin is in standard deviations; no rounding is further than half a step.
    return spread / rms, 0.5 * float(np.max(step)) / MARGIN / top
