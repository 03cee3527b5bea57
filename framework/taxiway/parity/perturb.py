"""A model's own numerical noise: what a change that means nothing does to its outputs.

Inputs that are off by one unit of the precision carry the rounding of one operation through the
whole model: what it amplifies, it amplifies in any runtime. Where a runtime has a second set of
kernels, the same sums in another order show the rounding within.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from taxiway.parity.tolerance import Precision

Array = np.ndarray[Any, Any]

_ROWS = 8
_DRAWS, _DRAWS_OF_FEW = 2, 4
"""Draws for many and for few samples: each sample is a draw of its own."""


def perturbed(
    inputs: Mapping[str, Array], precision: Precision, seed: int
) -> Iterator[dict[str, Array]]:
    """Copies of `inputs` (each `[n, ...]`) whose real values are off by one unit; none without such.

    Relative: x * (1 +- unit), signs at random. On a grid: up to half a step of the tensor's range
    either way, as rounding to a grid does.
    """
    if not any(array.dtype.kind == "f" for array in inputs.values()):
        return
    rows = max((len(array) for array in inputs.values() if array.ndim), default=1)
    for draw in range(_DRAWS if rows >= _ROWS else _DRAWS_OF_FEW):
        random = np.random.default_rng([seed, draw])
        yield {name: _moved(array, precision, random) for name, array in inputs.items()}


def _moved(array: Array, precision: Precision, random: np.random.Generator) -> Array:
    if array.dtype.kind != "f" or not array.size:
        return array
    shift: Array
    if precision.grid:
        finite = array[np.isfinite(array)]
        span = float(finite.max() - finite.min()) if finite.size else 0.0
        shift = span * precision.unit * np.asarray(random.uniform(-0.5, 0.5, array.shape))
    else:
        signs = random.integers(0, 2, array.shape, dtype=np.int8) * 2.0 - 1.0
        shift = signs * precision.unit * np.where(np.isfinite(array), array, 0.0)
    moved: Array = (array.astype(np.float64) + shift).astype(array.dtype)
    return moved
