"""One ONNX node as the rules see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taxiway.optimize.channels.flow import Flow
from taxiway.optimize.channels.onnx.sizes import Sizes
from taxiway.optimize.channels.signal import Constant, Signal

Operand = Signal | Constant | None


class Opaque(Exception):
    """A rule cannot say what the node does with channels: they stay. The text completes "Type 'name' ..."."""


@dataclass(frozen=True)
class Node:
    """inputs: what goes in, None where an optional input is left out. results: the shape of each output, as
    a signal without channels. value: an input that is constant, as an array, else None. sizes: what is
    known of an input of integers."""

    name: str
    proto: Any
    flow: Flow
    opset: int
    inputs: Sequence[Operand]
    results: Sequence[Signal]
    value: Callable[[int], np.ndarray[Any, Any] | None]
    sizes: Callable[[int], Sizes | None]

    @property
    def type(self) -> str:
        return str(self.proto.op_type)

    @property
    def where(self) -> str:
        """As reasons name the node."""
        return f"{self.type} '{self.name}'"

    def attribute(self, name: str, default: Any = None) -> Any:
        import onnx

        for attribute in self.proto.attribute:
            if attribute.name == name:
                return onnx.helper.get_attribute_value(attribute)
        return default

    def given(self, at: int) -> Operand:
        """An input, None where there is none."""
        return self.inputs[at] if at < len(self.inputs) else None

    def signal(self, at: int = 0) -> Signal:
        """An input as a signal. Raises Opaque where it is left out."""
        operand = self.given(at)
        if operand is None:
            raise Opaque(f"has no input {at}")
        return self.flow.fixed(operand, self.where)

    def weight(self, at: int) -> Constant:
        """A constant input. Raises Opaque where it is computed or left out."""
        operand = self.given(at)
        if not isinstance(operand, Constant):
            raise Opaque("computes its weights")
        return operand

    def axes(self, at: int, attribute: str = "axes") -> list[int] | None:
        """Axes as an attribute or, in later operator sets, as input `at`; None where none are given."""
        given = self.attribute(attribute)
        if given is None and at < len(self.proto.input) and self.proto.input[at]:
            value = self.value(at)
            if value is None:
                raise Opaque("computes its axes")
            given = np.atleast_1d(value).tolist()
        return None if given is None else [int(axis) for axis in np.atleast_1d(given)]

    def settle(self, *but: int) -> None:
        """Constant inputs that are no weights are used as they are."""
        for at, operand in enumerate(self.inputs):
            if isinstance(operand, Constant) and at not in but:
                self.flow.use(operand, {}, self.where)
