"""The proof that a cut takes away what it says and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.optimize.channels.examples import SCALES, examples

if TYPE_CHECKING:
    import numpy as np

    from taxiway.optimize.channels.graph import ChannelGraph, Cut
    from taxiway.optimize.channels.prunable import Prunable

    Array = np.ndarray[Any, Any]

TOLERANCES = {2: 3e-2, 4: 1e-3, 8: 1e-6}
"""Bytes of a float -> largest difference relative to the largest output: both networks add the same numbers
in another order."""
TINY = 1e-30
"""Probabilities below are as good as none."""


def prove(
    whole: Prunable, graph: ChannelGraph, cut: Cut, pruned: Prunable, seed: int
) -> float | None:
    """Largest relative difference between the pruned network and the whole one in which no layer takes in
    the channels that are cut: by construction they compute the same.

    None where no random input suits the network. Raises StepError where they differ.
    """
    names = [spec.name for spec in whole.signature.outputs]
    errors: list[float] = []
    for inputs in examples(whole.signature, seed):
        if len(errors) == len(SCALES):
            break
        try:
            expected = whole.muted_outputs(graph, cut, inputs)
        except StepError:
            continue
        if not all(_finite(output) for output in expected):
            continue
        pairs = zip(names, expected, pruned.outputs(inputs), strict=True)
        errors.append(max((_difference(*pair) for pair in pairs), default=0.0))
    return max(errors) if errors else None


def _finite(array: Array) -> bool:
    import numpy as np

    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _difference(name: str, expected: Array, found: Array) -> float:
    import numpy as np

    if expected.shape != found.shape:
        raise _wrong(
            f"output '{name}' has shape {list(found.shape)}, expected {list(expected.shape)}"
        )
    if expected.dtype.kind != "f" or not expected.size:
        # A sum in another order may move an index from one of two equals to the other.
        return 0.0
    wide, other = expected.astype(np.float64), found.astype(np.float64)
    if _are_probabilities(wide):
        wide, other = np.log(np.maximum(wide, TINY)), np.log(np.maximum(other, TINY))
    relative = float(np.abs(wide - other).max() / max(np.abs(wide).max(), 1e-6))
    if not relative <= TOLERANCES.get(expected.dtype.itemsize, 1e-3):
        raise _wrong(f"output '{name}' is off by {relative:.2g} of its largest value")
    return relative


def _are_probabilities(values: Array) -> bool:
    """Whether these are of a softmax, which hides what went before where it is sure: their logarithms do
    not."""
    import numpy as np

    sums = values.sum(axis=-1) if values.ndim else values
    return bool(values.ndim and (values >= 0).all() and np.allclose(sums, 1, atol=1e-2))


def _wrong(what: str) -> StepError:
    return StepError(
        f"the network without the channels does not compute what it did without their effect: {what}; "
        "this is a defect of Taxiway",
        "report it, and leave layers out meanwhile: optimize.prune_channels.exclude",
    )
