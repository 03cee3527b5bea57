"""Which channels go: the least important ones, until the goal is met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from taxiway.errors import StepError
from taxiway.optimize.channels.graph import ChannelGraph, Cut, Group
from taxiway.optimize.channels.importance import Scores
from taxiway.optimize.channels.numbering import Ids

Metric = Literal["channels", "macs", "parameters"]


@dataclass(frozen=True)
class Limits:
    """What stays of every group.

    least: channels that a group keeps. multiple: what is left of a group is a multiple of this, as SIMD
    kernels like it; a group that is none stays whole or falls to the next multiple.
    """

    least: int = 1
    multiple: int = 1

    def left(self, size: int, wanted: int) -> int:
        """Channels that a group of `size` keeps where `wanted` should stay."""
        floor = min(size, max(wanted, self.least, 1))
        return min(size, -(-floor // self.multiple) * self.multiple)


def choose(
    graph: ChannelGraph,
    scores: Scores,
    metric: Metric,
    at_most: float,
    together: bool,
    limits: Limits,
) -> Cut:
    """The smallest cut that leaves at most `at_most` of the metric.

    together: all channels are ranked in one list, each score over the mean of its group; else every
    group gives the same share. Raises StepError that says what is possible where the limits stop
    before.
    """
    ranked = [
        group.channels[np.argsort(scores[group.channels], kind="stable")] for group in graph.groups
    ]
    steps = _Together(graph.groups, scores) if together else _Evenly(graph.groups)
    low, high = 0, steps.last

    def cut(at: int) -> Cut:
        return _cut(graph, ranked, steps.counts(at), limits)

    if remaining(graph, metric, cut(high)) > at_most:
        raise _impossible(graph, metric, at_most, cut(high), limits)
    while low < high:
        middle = (low + high) // 2
        if remaining(graph, metric, cut(middle)) <= at_most:
            high = middle
        else:
            low = middle + 1
    return cut(high)


def remaining(graph: ChannelGraph, metric: Metric, cut: Cut) -> int:
    """What a cut leaves, in the unit of the metric; channels: of those that can be cut."""
    if metric == "macs":
        return graph.macs(cut)
    if metric == "parameters":
        return graph.parameters(cut)
    return graph.channels - int(cut.sum())


def _cut(graph: ChannelGraph, ranked: Sequence[Ids], counts: Sequence[int], limits: Limits) -> Cut:
    """Without the first ones of each group, as many as the counts say and the limits allow."""
    cut = graph.nothing()
    for channels, count in zip(ranked, counts, strict=True):
        left = limits.left(len(channels), len(channels) - count)
        cut[channels[: len(channels) - left]] = True
    return cut


class _Evenly:
    """From none to all, every group the same share."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._sizes = [len(group.channels) for group in groups]
        self._shares = sorted({n / size for size in {*self._sizes} for n in range(size + 1)})
        self.last = len(self._shares) - 1

    def counts(self, step: int) -> list[int]:
        """How many channels each group gives."""
        return [int(self._shares[step] * size + 1e-9) for size in self._sizes]


class _Together:
    """From none to all, along one list of the channels of all groups."""

    def __init__(self, groups: Sequence[Group], scores: Scores) -> None:
        owner = np.concatenate([np.full(len(g.channels), at) for at, g in enumerate(groups)])
        relative = np.concatenate([_relative(scores[group.channels]) for group in groups])
        self._order = owner[np.argsort(relative, kind="stable")]
        self._groups = len(groups)
        self.last = len(owner)

    def counts(self, step: int) -> list[int]:
        """How many channels each group gives."""
        found: list[int] = np.bincount(self._order[:step], minlength=self._groups).tolist()
        return found


def _relative(scores: Scores) -> Scores:
    mean = scores.mean()
    return scores / mean if mean > 0 else scores


def _impossible(
    graph: ChannelGraph, metric: Metric, at_most: float, most: Cut, limits: Limits
) -> StepError:
    before = remaining(graph, metric, graph.nothing())
    asked, possible = (1 - left / before for left in (at_most, remaining(graph, metric, most)))
    least = f"min_channels={limits.least} and round_to={limits.multiple}"
    option = "share" if metric == "channels" else f"target.{metric}"
    floor = np.floor(possible * 1000) / 1000
    return StepError(
        f"{asked:.1%} of the {metric} cannot be cut: {least} leave at most {possible:.1%}"
        + (f", as {len(graph.protected)} layers are protected" if graph.protected else ""),
        f"{option}={floor:g}, or a smaller min_channels" if floor > 0 else "min_channels=1",
    )
