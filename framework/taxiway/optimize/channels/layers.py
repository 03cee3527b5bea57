"""What the tracer notes of layers, for the choice of channels and for the rebuilding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from taxiway.optimize.channels.numbering import Ids

Role = Literal["out", "in", "carry"]
"""What a weight's axis does with channels: makes them, takes them in, or works on each by itself."""


@dataclass(frozen=True)
class Layer:
    """An operator that multiplies by a kernel.

    positions: how often each element of the kernel is used for one sample. So a layer's
    multiply-accumulates are `positions` times the kernel's elements.
    """

    name: str
    type: str
    kernel: str
    positions: int


@dataclass(frozen=True)
class Scale:
    """A batch normalization straight behind a kernel multiplies its channels by
    gamma / sqrt(variance + epsilon)."""

    gamma: str | None
    variance: str
    epsilon: float


@dataclass(frozen=True)
class Stored:
    """A number of channels that a file notes besides the weights, such as `filters`.

    owner: the operator or layer. key: where in it. ids: the channels that are counted.
    """

    owner: str
    key: tuple[str | int, ...]
    ids: Ids


@dataclass(frozen=True)
class Tap:
    """Where a layer takes channels in: along `axis` of its first input."""

    layer: str
    axis: int
    ids: Ids
