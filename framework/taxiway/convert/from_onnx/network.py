"""An ONNX graph as a TensorFlow function: in one piece where that proves equal, else node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from taxiway.convert.from_onnx.compare import order_of_axes
from taxiway.convert.from_onnx.prepare import Prepared, with_shapes
from taxiway.convert.from_onnx.reference import traces
from taxiway.convert.from_onnx.run import Onnx2tfFailed, keras_model, work_folder
from taxiway.errors import StepError

Trace = Mapping[str, Any]


class Network(Protocol):
    """Takes TensorFlow tensors by name, in ONNX's order of axes, and gives them."""

    def __call__(self, tensors: Mapping[str, Any]) -> dict[str, Any]: ...

    @property
    def variables(self) -> list[Any]: ...


@dataclass(frozen=True)
class Piece:
    """A Keras model that onnx2tf made; the axes of its outputs are put back in ONNX's order."""

    keras: Any
    inputs: Sequence[str]
    outputs: Sequence[str]
    orders: Sequence[tuple[int, ...]]

    def __call__(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: _transposed(value, order)
            for name, value, order in zip(
                self.outputs,
                _call(self.keras, [tensors[n] for n in self.inputs]),
                self.orders,
                strict=True,
            )
        }

    @property
    def variables(self) -> list[Any]:
        return list(self.keras.variables)


@dataclass(frozen=True)
class Chain:
    """Pieces in the order of their nodes, and the tensors that are constant."""

    pieces: Sequence[Piece]
    constants: Mapping[str, Any]
    outputs: Sequence[str]

    def __call__(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        import tensorflow as tf

        known = {name: tf.constant(array) for name, array in self.constants.items()}
        known |= tensors
        for piece in self.pieces:
            known |= piece(known)
        return {name: known[name] for name in self.outputs}

    @property
    def variables(self) -> list[Any]:
        return [variable for piece in self.pieces for variable in piece.variables]


def build(prepared: Prepared, name: str) -> Network:
    """The network of `prepared`, held against ONNX Runtime on made-up samples.

    Raises StepError that names the first node which onnx2tf cannot convert, or converts to something
    that gives other values.
    """
    proto = prepared.proto
    samples = _traces(proto, name)
    with work_folder() as folder:
        if not {v.name for v in proto.graph.output} & _not_computed(proto):
            try:
                return _piece(proto, samples, folder)
            except (Onnx2tfFailed, _Differs):
                pass
        return _node_by_node(prepared, samples, folder, name)


class _Differs(Exception):
    pass


def _not_computed(proto: Any) -> set[str]:
    graph = proto.graph
    return {v.name for v in graph.input} | {v.name for v in graph.initializer}


def _traces(proto: Any, name: str) -> Sequence[Trace]:
    try:
        found = traces(proto)
    except Exception as error:
        raise StepError(f"ONNX Runtime cannot run {name}: {error}") from error
    if not found:
        sizes = ", ".join(
            f"{v.name}[{', '.join(a.dim_param or str(a.dim_value) for a in v.type.tensor_type.shape.dim)}]"
            for v in proto.graph.input
        )
        raise StepError(
            f"{name} runs on none of the made-up samples that its conversion is checked with ({sizes})",
            "choose convert=onnx, or fix its free axes to sizes that it takes",
        )
    return found


def _piece(proto: Any, samples: Sequence[Trace], folder: Any) -> Piece:
    """`proto` in one call of onnx2tf. Raises Onnx2tfFailed, or _Differs where an output is not that
    of ONNX Runtime."""
    import tensorflow as tf

    inputs = [value.name for value in proto.graph.input]
    outputs = [value.name for value in proto.graph.output]
    first = {name: samples[0][name] for name in inputs}
    keras = keras_model(proto, first, folder)
    if keras is None:
        raise Onnx2tfFailed("it gave no model", None)
    columns: list[list[Any]] = [[] for _ in outputs]
    for sample in samples:
        try:
            values = _call(keras, [tf.constant(sample[name]) for name in inputs])
        except Exception as error:
            raise Onnx2tfFailed(" ".join(str(error).split())[:300], None) from error
        if len(values) != len(outputs):
            raise _Differs(f"{len(values)} outputs in place of {len(outputs)}")
        for column, name, value in zip(columns, outputs, values, strict=True):
            column.append((sample[name], _numpy(value, sample[name])))
    orders = []
    for name, column in zip(outputs, columns, strict=True):
        order = order_of_axes(column)
        if order is None:
            raise _Differs(_difference(name, column))
        orders.append(order)
    return Piece(keras, inputs, outputs, orders)


def _difference(name: str, column: Sequence[tuple[Any, Any]]) -> str:
    expected, found = column[0]
    if sorted(expected.shape) != sorted(found.shape):
        return f"output '{name}' of shape {list(found.shape)} in place of {list(expected.shape)}"
    return f"other values of '{name}'"


def _numpy(value: Any, like: Any) -> Any:
    import numpy as np

    array = np.asarray(value)
    return array if array.dtype == like.dtype else array.astype(like.dtype)


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


def _node_by_node(prepared: Prepared, samples: Sequence[Trace], folder: Any, name: str) -> Network:
    proto, graph = prepared.proto, prepared.proto.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    pieces = []
    for node in graph.node:
        single = _single(proto, node, constants, samples)
        try:
            pieces.append(_piece(single, samples, folder))
        except (Onnx2tfFailed, _Differs) as error:
            label = prepared.renamed.label(node.name)
            how = (
                "cannot convert"
                if isinstance(error, Onnx2tfFailed)
                else "does not convert faithfully"
            )
            raise StepError(
                f"onnx2tf {how} {label} of {name}: {error}",
                "choose convert=onnx, which keeps the operator",
            ) from error
    outputs = [value.name for value in graph.output]
    from onnx import numpy_helper

    plain = {n: numpy_helper.to_array(constants[n]) for n in outputs if n in constants}
    return Chain(pieces, plain, outputs)


def _single(proto: Any, node: Any, constants: Mapping[str, Any], samples: Sequence[Trace]) -> Any:
    """A model of this node alone; an axis that differs between the samples is free."""
    from onnx import helper

    reads = [name for name in dict.fromkeys(node.input) if name]
    gives = [name for name in node.output if name]
    graph = helper.make_graph(
        [node],
        "node",
        [_value(name, samples) for name in reads if name not in constants],
        [_value(name, samples) for name in gives],
        [constants[name] for name in reads if name in constants],
    )
    single = helper.make_model(graph, opset_imports=proto.opset_import, ir_version=proto.ir_version)
    return with_shapes(single)


def _value(name: str, samples: Sequence[Trace]) -> Any:
    from onnx import helper

    arrays = [sample[name] for sample in samples]
    shapes = {array.shape for array in arrays}
    rank = arrays[0].ndim
    shape = [
        sizes.pop() if len(sizes := {s[axis] for s in shapes}) == 1 else f"axis_{axis}"
        for axis in range(rank)
    ]
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(arrays[0].dtype), shape
    )
