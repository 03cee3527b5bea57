"""What flows between operators, as the tracer sees it: a shape, and which axes hold channels."""

from __future__ import annotations

from dataclasses import dataclass, replace

from taxiway.optimize.channels.numbering import Ids

Slot = tuple[str, int]
"""An axis of a weight: the weight's name and the axis."""


@dataclass(frozen=True)
class Signal:
    """A tensor between two operators.

    shape: with some size in place of each free axis. free: which axes these are.
    axes: the channel numbers along each axis; None for an axis from which nothing is ever cut.
    maker: the axis of the kernel that these channels come from, where nothing was done to them since.
    """

    shape: tuple[int, ...]
    axes: tuple[Ids | None, ...]
    free: tuple[bool, ...]
    maker: Slot | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    def with_axis(self, axis: int, ids: Ids | None, size: int | None = None) -> Signal:
        """The signal with other channels along one axis."""
        axes, shape = list(self.axes), list(self.shape)
        axes[axis] = ids
        if size is not None or ids is not None:
            shape[axis] = size if size is not None else len(ids) if ids is not None else 0
        return replace(self, axes=tuple(axes), shape=tuple(shape), maker=None)


@dataclass(frozen=True)
class Constant:
    """A constant tensor of the network: a weight, by its name."""

    name: str
    shape: tuple[int, ...]

    @property
    def rank(self) -> int:
        return len(self.shape)


def plain(shape: tuple[int, ...], free: tuple[bool, ...] | None = None) -> Signal:
    """A tensor without channels that could be cut."""
    return Signal(shape, (None,) * len(shape), free or (False,) * len(shape))
