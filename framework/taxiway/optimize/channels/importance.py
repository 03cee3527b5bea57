"""How much a channel matters: by its weights, by what flows through it, or by its gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.optimize.channels.graph import ChannelGraph, Read
from taxiway.optimize.channels.numbering import Ids

Scores = np.ndarray[Any, np.dtype[np.float64]]
"""`[numbers]`: the importance of each channel; 0 where a number is none."""


def by_weights(graph: ChannelGraph, read: Read) -> Scores:
    """The L1 norm of a channel's filters (Li et al. 2017, "Pruning Filters for Efficient ConvNets").

    A batch normalization straight behind is counted in, as it would be where it is folded. Raises
    StepError for a weight with NaN or Inf.
    """
    scores = np.zeros(graph.numbers)
    for slot in graph.makers:
        name, axis = slot
        values = np.abs(finite(name, read(name)).astype(np.float64))
        norms = values.sum(axis=tuple(at for at in range(values.ndim) if at != axis))
        scale = graph.scales.get(slot)
        if scale is not None:
            gamma = np.abs(finite(scale.gamma, read(scale.gamma))) if scale.gamma else 1.0
            variance = finite(scale.variance, read(scale.variance)).astype(np.float64)
            norms = norms * gamma / np.sqrt(variance + scale.epsilon)
        _add(scores, graph.slots[slot], norms)
    return scores


def by_activation(graph: ChannelGraph, means: Sequence[Scores]) -> Scores:
    """The mean absolute value of a channel where layers take it in.

    means: `[places]` for each tap of the graph.
    """
    scores = np.zeros(graph.numbers)
    for tap, values in zip(graph.taps, means, strict=True):
        _add(scores, tap.ids, values)
    return scores


def by_gradient(
    graph: ChannelGraph, batches: Iterable[Mapping[str, np.ndarray[Any, Any]]]
) -> Scores:
    """(sum of weight x gradient)^2 over what a channel owns, as a mean over batches: the first-order Taylor
    estimate of what the loss gains without it (Molchanov et al. 2019, "Importance Estimation for Neural
    Network Pruning").

    batches: weight -> weight x gradient, elementwise, for the weights that are trained.
    """
    scores, count = np.zeros(graph.numbers), 0
    for products in batches:
        sums, count = np.zeros(graph.numbers), count + 1
        for slot, roles in graph.roles.items():
            name, axis = slot
            if name in products and slot in graph.slots and roles & {"out", "carry"}:
                values = products[name]
                total = values.sum(axis=tuple(at for at in range(values.ndim) if at != axis))
                np.add.at(sums, graph.slots[slot], total)
        scores += sums**2
    return scores / max(count, 1)


def finite(name: str | None, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The values. Raises StepError that names the weight where they are not all finite."""
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise StepError(
            f"weight '{name}' holds NaN or Inf at {count} of {values.size} places",
            "start from a model whose training did not diverge",
        )
    return values


def _add(scores: Scores, ids: Ids, values: Scores) -> None:
    """Add to each channel the mean over its places."""
    total, count = np.zeros_like(scores), np.zeros_like(scores)
    np.add.at(total, ids, values)
    np.add.at(count, ids, 1)
    scores += total / np.maximum(count, 1)
