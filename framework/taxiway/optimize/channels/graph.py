"""The channels of a whole network: which can be cut, in which groups, and what is left then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from taxiway.optimize.channels.flow import Flow
from taxiway.optimize.channels.layers import Layer, Role, Scale, Stored, Tap
from taxiway.optimize.channels.numbering import Ids
from taxiway.optimize.channels.signal import Slot
from taxiway.optimize.quantize.operators import Operator, matching

Cut = np.ndarray[Any, np.dtype[np.bool_]]
"""`[numbers]`: whether a channel is cut."""


@dataclass(frozen=True)
class Group:
    """Channels that the same layers make and the same layers take in, such as those of a residual sum.

    layers: the names of the layers that make them. channels: one number each.
    """

    layers: tuple[str, ...]
    channels: Ids


@dataclass(frozen=True)
class ChannelGraph:
    """What can be cut of a network, whatever its format.

    weights: name -> shape. slots: an axis of a weight -> the channel at each place; an axis that is not
    in it stays as it is. protected: layer -> why nothing of it can be cut.
    """

    weights: Mapping[str, tuple[int, ...]]
    slots: Mapping[Slot, Ids]
    roles: Mapping[Slot, frozenset[Role]]
    makers: Mapping[Slot, frozenset[str]]
    layers: tuple[Layer, ...]
    groups: tuple[Group, ...]
    protected: Mapping[str, str]
    scales: Mapping[Slot, Scale]
    stored: tuple[Stored, ...]
    bases: Mapping[str, tuple[int, ...]]
    taps: tuple[Tap, ...]
    numbers: int

    @property
    def channels(self) -> int:
        """How many can be cut at most."""
        return sum(len(group.channels) for group in self.groups)

    def nothing(self) -> Cut:
        return np.zeros(self.numbers, bool)

    def places(self, slot: Slot, cut: Cut) -> Ids:
        """The places along a weight's axis that are left."""
        return np.flatnonzero(~cut[self.slots[slot]])

    def shape(self, weight: str, cut: Cut) -> tuple[int, ...]:
        """The shape of a weight after the cut."""
        return tuple(
            len(self.places((weight, axis), cut)) if (weight, axis) in self.slots else size
            for axis, size in enumerate(self.weights[weight])
        )

    def parameters(self, cut: Cut) -> int:
        """Elements of all weights after the cut."""
        return sum(prod(self.shape(weight, cut)) for weight in self.weights)

    def macs(self, cut: Cut) -> int:
        """Multiply-accumulates of one sample after the cut."""
        return sum(layer.positions * prod(self.shape(layer.kernel, cut)) for layer in self.layers)

    def outputs(self, cut: Cut) -> dict[str, int]:
        """Layer -> channels that it makes, for each layer that makes any which could be cut."""
        return {
            layer: len(self.places(slot, cut))
            for slot, layers in self.makers.items()
            for layer in sorted(layers)
        }


def finish(flow: Flow, only: Sequence[str], exclude: Sequence[str]) -> ChannelGraph:
    """The groups of a network whose operators have all been followed.

    only, exclude: patterns of layers (name, type, or regular expression). Channels of several layers
    are cut only where all of these may be. Raises StepError for a pattern that matches no layer.
    """
    left_out = _left_out(tuple(flow.layers.values()), only, exclude)
    for slot, layers in flow.makers.items():
        for layer in sorted(layers & left_out.keys()):
            flow.protect(flow.slots[slot], left_out[layer])
    roots = flow.numbering.roots()
    reasons = flow.numbering.reasons(roots)
    slots = {slot: roots[ids] for slot, ids in flow.slots.items()}
    makers: dict[int, set[str]] = {}
    for slot, layers in flow.makers.items():
        for root in set(slots[slot].tolist()):
            makers.setdefault(root, set()).update(layers)
    stored = tuple(Stored(s.owner, s.key, roots[s.ids]) for s in flow.stored)
    where = _memberships([*slots.values(), *(each.ids for each in stored)])
    members: dict[tuple[int, ...], list[int]] = {}
    for root in sorted(makers.keys() - reasons.keys()):
        members.setdefault(where[root], []).append(root)
    free = {root for group in members.values() for root in group}
    protected = dict(flow.kept)
    for slot, layers in flow.makers.items():
        held = slots[slot].tolist()
        if not free.intersection(held):
            why = next((reasons[root] for root in held if root in reasons), "has no channel")
            for layer in sorted(layers):
                protected.setdefault(layer, why)
    return ChannelGraph(
        weights=dict(flow.weights),
        slots=slots,
        roles={slot: frozenset(roles) for slot, roles in flow.roles.items()},
        makers={slot: frozenset(layers) for slot, layers in flow.makers.items()},
        layers=tuple(flow.layers.values()),
        groups=tuple(
            Group(tuple(sorted(makers[group[0]])), np.array(group)) for group in members.values()
        ),
        protected=protected,
        scales=dict(flow.scales),
        stored=stored,
        bases=dict(flow.bases),
        taps=tuple(Tap(t.layer, t.axis, roots[t.ids]) for t in flow.taps),
        numbers=len(roots),
    )


def _memberships(axes: Sequence[Ids]) -> dict[int, tuple[int, ...]]:
    """Channel -> the axes that it is part of.

    Channels of one group are in the same axes: so what is left of an axis is what is left of whole
    groups, never nothing.
    """
    found: dict[int, list[int]] = {}
    for at, ids in enumerate(axes):
        for root in set(ids.tolist()):
            found.setdefault(root, []).append(at)
    return {root: tuple(places) for root, places in found.items()}


def _left_out(
    layers: Sequence[Layer], only: Sequence[str], exclude: Sequence[str]
) -> dict[str, str]:
    """Layer -> why the options leave it out."""
    known = [Operator(layer.name, layer.type) for layer in layers]
    wanted = {name for pattern in only for name in matching(known, pattern)}
    found = {op.name: "only: does not name it" for op in known if only and op.name not in wanted}
    for pattern in exclude:
        found |= dict.fromkeys(matching(known, pattern), "exclude: names it")
    return {name: f"'{name}' stays, as {why}" for name, why in found.items()}


def cut_weight(
    graph: ChannelGraph, name: str, array: np.ndarray[Any, Any], cut: Cut
) -> np.ndarray[Any, Any]:
    """A weight without the channels that are cut."""
    for axis in range(array.ndim):
        if (name, axis) in graph.slots:
            array = np.take(array, graph.places((name, axis), cut), axis)
    return array


def muted_weight(
    graph: ChannelGraph, name: str, array: np.ndarray[Any, Any], cut: Cut
) -> np.ndarray[Any, Any]:
    """A weight in its full size that ignores the channels that are cut: zeros where it takes them in."""
    array = array.copy()
    for axis in range(array.ndim):
        if "in" in graph.roles.get((name, axis), ()):
            np.moveaxis(array, axis, 0)[cut[graph.slots[name, axis]]] = 0
    return array


Read = Callable[[str], np.ndarray[Any, Any]]
"""The values of a weight, by its name."""
