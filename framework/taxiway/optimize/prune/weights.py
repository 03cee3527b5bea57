"""Weights that are pruned, whatever the format: where they belong, and how they are a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.model.promises import Sparsity
from taxiway.optimize.quantize.operators import Operator, matching

if TYPE_CHECKING:
    import numpy as np

    from taxiway.optimize.prune.magnitude import PruneMagnitudeConfig

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class PrunedWeight:
    """A weight of a dense, convolutional or recurrent layer.

    name: in the file. layer: name and type of what it belongs to. outputs, inputs: its axes, which
    together are all of them; the last input axis is that of input channels. depthwise: each output sees
    one input channel.
    """

    name: str
    layer: str
    type: str
    shape: tuple[int, ...]
    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    depthwise: bool = False

    def matrix(self, values: Array) -> Array:
        """`values` as [outputs, inputs]."""
        rows = prod(self.shape[axis] for axis in self.outputs)
        return values.transpose((*self.outputs, *self.inputs)).reshape(rows, -1)

    def restored(self, matrix: Array) -> Array:
        """The inverse of `matrix`."""
        axes = (*self.outputs, *self.inputs)
        moved = matrix.reshape([self.shape[axis] for axis in axes])
        return moved.transpose([axes.index(axis) for axis in range(len(axes))])


def chosen(
    weights: Sequence[PrunedWeight], options: PruneMagnitudeConfig, file: str
) -> list[PrunedWeight]:
    """The weights that `only` and `exclude` leave.

    Depthwise kernels are few and sensitive, and stay dense unless `only` names them (M. Zhu and S. Gupta, "To
    prune, or not to prune", 2017, section 4.2). Raises StepError where nothing is left, or a pattern
    matches nothing.
    """
    layers = [Operator(*pair) for pair in dict.fromkeys((w.layer, w.type) for w in weights)]
    if not layers:
        raise StepError(
            f"{file} has no float weight of a dense, convolutional or recurrent layer to prune",
            "drop the pass, or put it before what quantizes or fuses",
        )
    wanted = {name for pattern in options.only for name in matching(layers, pattern)}
    left = {name for pattern in options.exclude for name in matching(layers, pattern)}
    found = [
        weight
        for weight in weights
        if weight.layer not in left
        and (weight.layer in wanted if options.only else not weight.depthwise)
    ]
    if not found:
        raise StepError(
            f"`only` and `exclude` leave no weight of {file} to prune",
            f"layers: {', '.join(layer.name for layer in layers[:8])}",
        )
    return found


def sparsity_of(weight: PrunedWeight, values: Array, options: PruneMagnitudeConfig) -> Sparsity:
    """What is promised of a weight that was pruned."""
    import numpy as np

    return Sparsity(
        weight=weight.name,
        size=values.size,
        share=float(np.mean(values == 0)),
        pattern=options.pattern,
        block=options.block if options.pattern == "block" else None,
    )


def told_of(promises: Sequence[Sparsity], how: str) -> dict[str, Any]:
    """What the record says of a pruning. how: such as `without training`."""
    total = sum(promise.size for promise in promises)
    zeros = round(sum(promise.share * promise.size for promise in promises))
    return {
        "summary": f"{zeros:,} of {total:,} weights in {len(promises)} tensors are zero "
        f"({zeros / total:.1%}), {how}",
        "weights": {promise.weight: round(promise.share, 4) for promise in promises},
    }
