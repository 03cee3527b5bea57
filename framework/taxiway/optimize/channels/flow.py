"""How channels flow through operators: the rules that all formats share.

The rules make what DepGraph calls the dependency graph (Fang et al. 2023, "DepGraph: Towards Any
Structural Pruning", CVPR), place by place instead of layer by layer: so a concatenation, a flattened
image and a residual sum need no case of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from taxiway.optimize.channels.layers import Layer, Role, Scale, Stored, Tap
from taxiway.optimize.channels.numbering import Ids, Numbering
from taxiway.optimize.channels.signal import Constant, Signal, Slot


@dataclass
class Flow:
    """Collects, operator by operator, what must be cut together.

    bases: owner of stored numbers -> the whole list that they stand in, where the file computes it.
    """

    numbering: Numbering = field(default_factory=Numbering)
    weights: dict[str, tuple[int, ...]] = field(default_factory=dict)
    slots: dict[Slot, Ids] = field(default_factory=dict)
    roles: dict[Slot, set[Role]] = field(default_factory=dict)
    makers: dict[Slot, set[str]] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    scales: dict[Slot, Scale] = field(default_factory=dict)
    stored: list[Stored] = field(default_factory=list)
    bases: dict[str, tuple[int, ...]] = field(default_factory=dict)
    taps: list[Tap] = field(default_factory=list)

    def use(
        self,
        weight: Constant,
        axes: Mapping[int, tuple[Ids, Role]],
        where: str,
    ) -> None:
        """An operator uses a weight; `axes` says which of its axes hold which channels.

        A weight that is used twice is cut only where both uses agree.
        """
        again = weight.name in self.weights
        self.weights[weight.name] = weight.shape
        for axis in range(weight.rank):
            slot, given = (weight.name, axis), axes.get(axis)
            known = self.slots.get(slot)
            if given is not None:
                self.roles.setdefault(slot, set()).add(given[1])
                if given[1] == "out":
                    self.makers.setdefault(slot, set()).add(where)
            if known is not None and given is not None:
                self.numbering.join(known, given[0])
            elif known is not None:
                self.protect(known, f"{where} uses '{weight.name}' as it is")
            elif given is not None:
                self.slots[slot] = given[0]
                if again:
                    self.protect(given[0], f"'{weight.name}' is used as it is elsewhere")

    def layer(self, layer: Layer) -> None:
        """A layer that is called twice multiplies twice."""
        before = self.layers.get(layer.name)
        positions = layer.positions + (before.positions if before else 0)
        self.layers[layer.name] = replace(layer, positions=positions)

    def protect(self, ids: Ids | None, reason: str) -> None:
        if ids is not None:
            self.numbering.protect(ids, reason)

    def keep(self, layer: str, reason: str) -> None:
        """No channel of this layer's output is ever cut."""
        self.kept.setdefault(layer, reason)

    def opaque(self, operands: Iterable[Signal | Constant | None], where: str, why: str) -> None:
        """What goes into an operator that no rule knows stays as it is."""
        for operand in operands:
            if isinstance(operand, Constant):
                self.use(operand, {}, where)
            elif operand is not None:
                for ids in operand.axes:
                    self.protect(ids, f"{where} {why}")

    def fixed(self, operand: Signal | Constant, where: str) -> Signal:
        """The operand as a signal; of a constant, nothing is cut here."""
        if isinstance(operand, Signal):
            return operand
        self.use(operand, {}, where)
        return Signal(operand.shape, (None,) * operand.rank, (False,) * operand.rank)

    def elementwise(self, operands: Sequence[Signal | Constant], where: str) -> Signal:
        """Operands that are broadcast against each other (NumPy's rules) and combined place by place."""
        rank = max(operand.rank for operand in operands)
        signals = [operand for operand in operands if isinstance(operand, Signal)]
        shape, free, axes = [], [], []
        for axis in range(rank):
            at = [(o, axis - rank + o.rank) for o in signals if axis - rank + o.rank >= 0]
            every = [o.shape[axis - rank] for o in operands if axis - rank + o.rank >= 0]
            size = next((s for s in every if s != 1), 1)
            shape.append(size)
            free.append(any(o.free[i] for o, i in at))
            axes.append(self._agreed([(o.axes[i], o.shape[i]) for o, i in at], size, where))
        result = Signal(tuple(shape), tuple(axes), tuple(free))
        for operand in operands:
            if isinstance(operand, Constant):
                self._beside(operand, result, where)
        return result

    def _beside(self, constant: Constant, result: Signal, where: str) -> None:
        """A constant of one value per channel is cut with the channels."""
        held: dict[int, tuple[Ids, Role]] = {}
        for axis, size in enumerate(constant.shape):
            ids = result.axes[axis - constant.rank]
            if ids is not None and size == len(ids) and size > 1:
                held[axis] = (ids, "carry")
        self.use(constant, held, where)

    def _agreed(self, parts: Sequence[tuple[Ids | None, int]], size: int, where: str) -> Ids | None:
        """The channels along one axis of a result, from those of the operands along that axis."""
        found: Ids | None = None
        fixed = False
        for ids, length in parts:
            if ids is not None and length != size:
                self.protect(ids, f"{where} repeats it")
            elif ids is None:
                fixed = fixed or length == size != 1
            elif found is None:
                found = ids
            else:
                self.numbering.join(found, ids)
        if fixed:
            self.protect(found, f"{where} combines it with channels that stay")
        return found

    def concat(self, parts: Sequence[Signal], axis: int, where: str) -> Signal:
        """Parts one after the other along `axis`."""
        first = parts[0]
        axes: list[Ids | None] = []
        for at in range(first.rank):
            if at != axis:
                sizes = [(part.axes[at], part.shape[at]) for part in parts]
                axes.append(self._agreed(sizes, first.shape[at], where))
            elif all(part.axes[at] is None for part in parts):
                axes.append(None)
            else:
                axes.append(np.concatenate([self._numbered(part, at, where) for part in parts]))
        shape = [*first.shape]
        shape[axis] = sum(part.shape[axis] for part in parts)
        free = tuple(any(part.free[at] for part in parts) for at in range(first.rank))
        return Signal(tuple(shape), tuple(axes), free)

    def _numbered(self, part: Signal, axis: int, where: str) -> Ids:
        ids = part.axes[axis]
        if ids is None:
            ids = self.numbering.fresh(part.shape[axis])
            self.protect(ids, f"{where} takes it from a tensor that stays")
        return ids

    def transpose(self, signal: Signal, order: Sequence[int]) -> Signal:
        """Axes in another order."""
        shape, axes, free = (
            tuple(values[at] for at in order) for values in (signal.shape, signal.axes, signal.free)
        )
        return Signal(shape, axes, free)  # type: ignore[arg-type]

    def along(self, signal: Signal, axes: Iterable[int], where: str, does: str) -> Signal:
        """An operator that works along axes as a whole: no channel can be cut from these."""
        for axis in axes:
            self.protect(signal.axes[axis], f"{where} {does}")
        gone = {axis % signal.rank for axis in axes}
        left = tuple(None if at in gone else ids for at, ids in enumerate(signal.axes))
        return replace(signal, axes=left, maker=None)

    def reduce(self, signal: Signal, axes: Iterable[int], keep: bool, where: str) -> Signal:
        """Axes that become one value."""
        gone = {axis % signal.rank for axis in axes}
        left = self.along(signal, gone, where, "sums over it")
        places = [
            (1, None, False) if at in gone else (left.shape[at], left.axes[at], left.free[at])
            for at in range(signal.rank)
            if keep or at not in gone
        ]
        return (
            Signal(*(tuple(values) for values in zip(*places, strict=True)))
            if places
            else (Signal((), (), ()))
        )

    def spatial(self, signal: Signal, shape: tuple[int, ...], channel: int, where: str) -> Signal:
        """An operator that moves within a channel, such as a pooling, and gives `shape`."""
        others = [axis for axis in range(1, signal.rank) if axis != channel % signal.rank]
        return replace(self.along(signal, others, where, "moves along it"), shape=shape)

    def per_channel(
        self, signal: Signal, axis: int, weights: Iterable[Constant | None], where: str
    ) -> Signal:
        """An operator with one value per channel in each of its weights, such as a batch normalization."""
        ids = signal.axes[axis]
        for weight in weights:
            if weight is not None:
                self.use(weight, {0: (ids, "carry")} if ids is not None else {}, where)
        return replace(signal, maker=None)

    def reshape(self, signal: Signal, shape: tuple[int, ...], where: str) -> Signal:
        """The same elements in row-major order in another shape."""
        from taxiway.optimize.channels.blocks import blocks, spread

        axes: list[Ids | None] = [None] * len(shape)
        free = [False] * len(shape)
        for before, after in blocks(signal.shape, shape):
            held = [at for at in before if signal.axes[at] is not None]
            loose = any(signal.free[at] for at in before)
            if loose and after:
                free[max(after, key=lambda at: shape[at])] = True
            if not held:
                continue
            ids = signal.axes[held[0]]
            others = [at for at in before if at != held[0]]
            placed = None
            if len(held) == 1 and ids is not None and not any(signal.free[at] for at in others):
                grid = [signal.shape[at] for at in before]
                placed = spread(ids, before.index(held[0]), grid, [shape[at] for at in after])
            if placed is None:
                for at in held:
                    self.protect(signal.axes[at], f"{where} mixes it with other axes")
            else:
                axes[after[placed[0]]] = placed[1]
        return Signal(shape, tuple(axes), tuple(free))


def positions(signal: Signal, without: Iterable[int]) -> int:
    """Elements of one sample, not counting some axes; a free first axis is the batch."""
    gone = {axis % signal.rank for axis in without}
    if signal.rank and signal.free[0]:
        gone.add(0)
    return prod(size for at, size in enumerate(signal.shape) if at not in gone)
