"""Parts of a network: one that onnx2tf made, and one that a lowering gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from taxiway.convert.from_onnx.compare import equal, order_of_axes
from taxiway.convert.from_onnx.lowerings import Operation, lowering
from taxiway.convert.from_onnx.run import Onnx2tfFailed, keras_model

Trace = Mapping[str, Any]
"""Tensors by name, as ONNX Runtime computed them."""


class Differs(Exception):
    """A part gives other values than ONNX Runtime."""


class Piece(Protocol):
    """Takes TensorFlow tensors by name, in ONNX's order of axes, and gives them."""

    def __call__(self, tensors: Mapping[str, Any]) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Converted:
    """A Keras model that onnx2tf made; `orders` puts the axes of its outputs back in ONNX's order."""

    keras: Any
    inputs: Sequence[str]
    outputs: Sequence[str]
    orders: Sequence[tuple[int, ...]]

    def __call__(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        values = _call(self.keras, [tensors[name] for name in self.inputs])
        columns = zip(self.outputs, values, self.orders, strict=True)
        return {name: _transposed(value, order) for name, value, order in columns}


@dataclass(frozen=True)
class Lowered:
    """One node by its lowering. constants: the inputs that are initializers."""

    operation: Operation
    domain: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    constants: Mapping[str, Any]

    def __call__(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        lower = lowering(self.domain, self.operation.op)
        assert lower is not None
        values = [
            None if not name else self.constants[name] if name in self.constants else tensors[name]
            for name in self.inputs
        ]
        results = lower(replace(self.operation, inputs=values))
        return {name: value for name, value in zip(self.outputs, results, strict=True) if name}


def converted(proto: Any, samples: Sequence[Trace], folder: Path) -> Converted:
    """`proto` in one call of onnx2tf, compared with `samples`.

    Raises Onnx2tfFailed, or Differs where an output is not that of ONNX Runtime in any order of its
    axes.
    """
    import tensorflow as tf

    inputs = [value.name for value in proto.graph.input]
    outputs = [value.name for value in proto.graph.output]
    keras = keras_model(proto, {name: samples[0][name] for name in inputs}, folder)
    if keras is None:
        raise Onnx2tfFailed("it gave no model", None)
    columns: list[list[Any]] = [[] for _ in outputs]
    for sample in samples:
        try:
            values = _call(keras, [tf.constant(sample[name]) for name in inputs])
        except Exception as error:
            raise Onnx2tfFailed(" ".join(str(error).split())[:300], None) from error
        if len(values) != len(outputs):
            raise Differs(f"{len(values)} outputs in place of {len(outputs)}")
        for column, name, value in zip(columns, outputs, values, strict=True):
            column.append((sample[name], _like(value, sample[name])))
    orders = []
    for name, column in zip(outputs, columns, strict=True):
        order = order_of_axes(column)
        if order is None:
            raise Differs(_difference(name, *column[0]))
        orders.append(order)
    return Converted(keras, inputs, outputs, orders)


def lowered(
    node: Any, opset: int, constants: Mapping[str, Any], samples: Sequence[Trace]
) -> Lowered | None:
    """`node` by its lowering; None where there is none for it, or one that differs from `samples`."""
    import tensorflow as tf
    from onnx import helper

    if lowering(node.domain, node.op_type) is None:
        return None
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    operation = Operation(node.op_type, opset, attributes, (), len(node.output))
    own = {name: constants[name] for name in node.input if name in constants}
    piece = Lowered(operation, node.domain, list(node.input), list(node.output), own)
    reads = [name for name in node.input if name and name not in own]
    for sample in samples:
        try:
            results = piece({name: tf.constant(sample[name]) for name in reads})
        except Exception:
            return None
        for name, value in results.items():
            array = value.numpy()
            if array.dtype != sample[name].dtype or not equal(sample[name], array):
                return None
    return piece


def _difference(name: str, expected: Any, found: Any) -> str:
    if sorted(expected.shape) != sorted(found.shape):
        return f"'{name}' has shape {list(found.shape)} in place of {list(expected.shape)}"
    return f"'{name}' has other values"


def _like(value: Any, expected: Any) -> Any:
    import numpy as np

    return np.asarray(value).astype(expected.dtype, copy=False)


def _call(keras: Any, tensors: Sequence[Any]) -> list[Any]:
    import tensorflow as tf

    cast = [
        tensor if tensor.dtype == given.dtype else tf.cast(tensor, given.dtype)
        for tensor, given in zip(tensors, keras.inputs, strict=True)
    ]
    results = keras(cast if len(cast) != 1 else cast[0])
    return list(results) if isinstance(results, (list, tuple)) else [results]


def _transposed(value: Any, order: tuple[int, ...]) -> Any:
    import tensorflow as tf

    return value if list(order) == sorted(order) else tf.transpose(value, order)
