"""One call of a Keras layer or operation, as the rules see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from taxiway.optimize.channels.flow import Flow
from taxiway.optimize.channels.signal import Constant, Signal


class Opaque(Exception):
    """A rule cannot say what the call does with channels: they stay. The text completes "Type 'name' ..."."""


@dataclass(frozen=True)
class Node:
    """operation: the layer or the `keras.ops` operation. path: its name, after those of the networks it is
    nested in. arguments, keywords: of the call. inputs: the tensors among them. results: the shape of each
    output, as a signal without channels."""

    path: str
    operation: Any
    flow: Flow
    arguments: Sequence[Any]
    keywords: Mapping[str, Any]
    inputs: Sequence[Signal]
    results: Sequence[Signal]
    names: Mapping[int, str]

    @property
    def type(self) -> str:
        return type(self.operation).__name__

    @property
    def where(self) -> str:
        """As reasons name the call."""
        return f"{self.type} '{self.path}'"

    @property
    def only_input(self) -> Signal:
        """Raises Opaque where there are several inputs."""
        if len(self.inputs) != 1:
            raise Opaque(f"takes {len(self.inputs)} tensors")
        return self.inputs[0]

    @property
    def result(self) -> Signal:
        return self.results[0]

    def channel_axis(self) -> int:
        """Where the layer's `data_format` has the channels."""
        first = getattr(self.operation, "data_format", None) == "channels_first"
        return 1 if first else self.only_input.rank - 1

    def constant(self, variable: Any) -> Constant:
        """A weight of the layer."""
        return Constant(self.names[id(variable)], tuple(int(size) for size in variable.shape))

    def option(self, name: str, default: Any = None) -> Any:
        """An option of the layer or the operation."""
        return getattr(self.operation, name, default)
