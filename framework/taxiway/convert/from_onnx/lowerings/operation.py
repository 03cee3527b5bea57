"""One node as a lowering sees it, and the table of the lowerings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Operation:
    """A node.

    inputs: TensorFlow tensors, NumPy arrays where they are constant, None where left out.
    opset: the version of ONNX's operator set. outputs: how many the node gives.
    """

    op: str
    opset: int
    attributes: Mapping[str, Any]
    inputs: Sequence[Any]
    outputs: int

    def input(self, position: int) -> Any:
        return self.inputs[position] if position < len(self.inputs) else None

    def attribute(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)

    def ints(self, name: str, position: int) -> list[int] | None:
        """A list that older operator sets give as an attribute and newer ones as an input, where it
        is known now. Raises NotKnown where it is computed."""
        if name in self.attributes:
            return [int(value) for value in self.attributes[name]]
        given = self.input(position)
        return None if given is None else [int(value) for value in constant(given).reshape(-1)]


class NotKnown(Exception):
    """The lowering needs a constant that the graph computes, or has no case for these attributes."""


Lowering = Callable[[Operation], list[Any]]


def constant(tensor: Any) -> Any:
    """A NumPy array, where the tensor is one or TensorFlow can tell its value. Raises NotKnown."""
    import numpy as np
    import tensorflow as tf

    if isinstance(tensor, np.ndarray):
        return tensor
    value = None if tf.executing_eagerly() else tf.get_static_value(tensor)
    if value is None:
        raise NotKnown("a parameter is no constant")
    return np.asarray(value)


def rank_of(tensor: Any) -> int:
    rank = tensor.ndim if hasattr(tensor, "ndim") else tensor.shape.rank
    if rank is None:
        raise NotKnown("a tensor's number of axes is not known")
    return int(rank)


@cache
def _table() -> dict[str, Lowering]:
    from taxiway.convert.from_onnx.lowerings import (
        convolution,
        elementwise,
        index,
        quantize,
        recurrent,
        reduce,
        reshape,
    )

    return {
        **elementwise.LOWERINGS,
        **reshape.LOWERINGS,
        **index.LOWERINGS,
        **convolution.LOWERINGS,
        **quantize.LOWERINGS,
        **recurrent.LOWERINGS,
        **reduce.LOWERINGS,
    }


def lowering(domain: str, op: str) -> Lowering | None:
    """The lowering of an operator of ONNX's own domain, if there is one."""
    return _table().get(op) if domain in ("", "ai.onnx") else None
