"""Inputs that a network is run on only to see that two forms of it give the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from taxiway.model import Signature, TensorSpec

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

ROWS = 3
SIZES = (32, 64, 224, 16, 4, 1)
"""Sizes of a free axis that are tried, one after the other, until the network takes one."""
SCALES = (1.0, 0.05)
"""Standard deviations: a classifier may be so sure of one that its scores hide what went before."""


def examples(signature: Signature, seed: int) -> Iterator[dict[str, Array]]:
    """Random inputs by name: normal values, bits for integers, for they may be indices of a table."""
    import numpy as np

    free = any(isinstance(axis, str) for spec in signature.inputs for axis in spec.shape[1:])
    for size in SIZES if free else SIZES[:1]:
        for scale in SCALES:
            random = np.random.default_rng([seed, size])
            yield {spec.name: _random(spec, size, scale, random) for spec in signature.inputs}


def _random(spec: TensorSpec, size: int, scale: float, random: np.random.Generator) -> Array:
    first = {spec.shape[0]} if spec.shape else set()
    shape = tuple(
        axis if isinstance(axis, int) else ROWS if at == 0 or axis in first else size
        for at, axis in enumerate(spec.shape)
    )
    if spec.dtype.startswith(("float", "bfloat")):
        return (scale * random.standard_normal(shape)).astype(spec.dtype)
    return random.integers(0, 2, shape).astype(spec.dtype)
