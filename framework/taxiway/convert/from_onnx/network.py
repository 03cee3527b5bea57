"""An ONNX graph as a TensorFlow function: in one piece where that proves equal, else node by node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxiway.convert.from_onnx.compare import equal
from taxiway.convert.from_onnx.converters import converted_ops
from taxiway.convert.from_onnx.lowerings.operation import NotKnown
from taxiway.convert.from_onnx.piece import Differs, Piece, Trace, converted, lowered
from taxiway.convert.from_onnx.prepare import Prepared, with_shapes
from taxiway.convert.from_onnx.reference import traces
from taxiway.convert.from_onnx.run import Onnx2tfFailed, work_folder
from taxiway.errors import StepError

_CHANNELS_LAST = frozenset(
    {
        *("AveragePool", "Conv", "ConvInteger", "ConvTranspose", "GridSample", "LpPool", "MaxPool"),
        *("QLinearConv", "Resize", "RoiAlign", "Upsample"),
    }
)
"""Operators that TensorFlow computes with the channels last: where there are several, a graph
converted whole needs a transposition only at its ends."""

_SEARCHED = frozenset(
    {"Concat", "Einsum", "Expand", "GatherElements", "MatMul", "Reshape", "Tile", "Transpose"}
)
_MAX_RANK = 4
"""For these operators onnx2tf tries all orders of the axes; with more axes that takes minutes."""


@dataclass(frozen=True)
class Chain:
    """Pieces in the order of their nodes, each with its name, and the outputs that are constant."""

    pieces: Sequence[tuple[str, Piece]]
    constants: Mapping[str, Any]
    outputs: Sequence[str]

    def __call__(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        import tensorflow as tf

        known = {name: tf.constant(array) for name, array in self.constants.items()}
        known |= tensors
        for scope, piece in self.pieces:
            with tf.name_scope(scope):
                known |= piece(known)
        return {name: known[name] for name in self.outputs}


def builds(prepared: Prepared, name: str) -> Iterator[Piece]:
    """The network of `prepared`, held against ONNX Runtime on made-up samples: whole where that pays
    and proves equal, then node by node for a caller that cannot use it.

    Raises StepError that names the first node which has no faithful conversion.
    """
    proto = prepared.proto
    samples = _samples(proto, name)
    if _worth_one_piece(proto, samples[0]):
        try:
            with work_folder() as folder:
                whole = converted(proto, samples, folder)
            yield whole
        except (Onnx2tfFailed, Differs):
            pass
    with work_folder() as folder:
        chain = _node_by_node(prepared, samples, folder, name)
    _check(chain, proto, samples, name)
    yield chain


def _samples(proto: Any, name: str) -> Sequence[Trace]:
    try:
        return traces(proto)
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise StepError(
            f"{name} runs on none of the made-up samples with which its conversion is checked "
            f"({', '.join(map(_shown, proto.graph.input))}); ONNX Runtime: {said}",
            "choose convert=onnx, or fix its free axes to sizes that it takes",
        ) from error


def _shown(value: Any) -> str:
    axes = value.type.tensor_type.shape.dim
    return f"{value.name}[{', '.join(a.dim_param or str(a.dim_value or '?') for a in axes)}]"


def _worth_one_piece(proto: Any, sample: Trace) -> bool:
    """onnx2tf needs a converter for every node, and takes only outputs that a node gives."""
    ops = [node.op_type for node in proto.graph.node]
    given = {name for node in proto.graph.node for name in node.output}
    return (
        len(ops) > 1
        and not any(
            sample[name].ndim > _MAX_RANK
            for node in proto.graph.node
            if node.op_type in _SEARCHED
            for name in node.output
            if name
        )
        and not _CHANNELS_LAST.isdisjoint(ops)
        and set(ops) <= converted_ops()
        and given >= {value.name for value in proto.graph.output}
    )


def _node_by_node(prepared: Prepared, samples: Sequence[Trace], folder: Path, name: str) -> Chain:
    from onnx import numpy_helper

    proto, graph = prepared.proto, prepared.proto.graph
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    constants = {name: numpy_helper.to_array(tensor) for name, tensor in initializers.items()}
    opset = next(e.version for e in proto.opset_import if e.domain in ("", "ai.onnx"))
    pieces: list[tuple[str, Piece]] = []
    for node in graph.node:
        piece: Piece | None = lowered(node, opset, constants, samples)
        try:
            if piece is None:
                single = _single(proto, node, initializers, samples)
                piece = converted(single, samples, folder)
            pieces.append((node.name, piece))
        except (Onnx2tfFailed, Differs) as error:
            faithful = "" if isinstance(error, Onnx2tfFailed) else " faithfully"
            raise StepError(
                f"onnx2tf cannot convert {prepared.renamed.label(node.name)} of {name}{faithful}: "
                f"{error}",
                "choose convert=onnx, which keeps the operator",
            ) from error
    outputs = [value.name for value in graph.output]
    return Chain(pieces, {n: constants[n] for n in outputs if n in constants}, outputs)


def _single(proto: Any, node: Any, constants: Mapping[str, Any], samples: Sequence[Trace]) -> Any:
    """A model of this node alone; an axis whose size differs between the samples is free."""
    from onnx import helper

    reads = [name for name in dict.fromkeys(node.input) if name]
    graph = helper.make_graph(
        [node],
        "node",
        [_value(name, samples) for name in reads if name not in constants],
        [_value(name, samples) for name in node.output if name],
        [constants[name] for name in reads if name in constants],
    )
    single = helper.make_model(graph, opset_imports=proto.opset_import, ir_version=proto.ir_version)
    return with_shapes(single)


def _value(name: str, samples: Sequence[Trace]) -> Any:
    from onnx import helper

    arrays = [sample[name] for sample in samples]
    sizes = zip(*(array.shape for array in arrays), strict=True)
    shape = [
        column[0] if len(set(column)) == 1 else f"axis_{axis}" for axis, column in enumerate(sizes)
    ]
    dtype = helper.np_dtype_to_tensor_dtype(arrays[0].dtype)
    return helper.make_tensor_value_info(name, dtype, shape)


def _check(chain: Chain, proto: Any, samples: Sequence[Trace], name: str) -> None:
    """Once more as a graph: with free axes a lowering may take another way than with known ones."""
    import tensorflow as tf

    specs = {}
    for value in proto.graph.input:
        axes = value.type.tensor_type.shape.dim
        shape = [axis.dim_value if axis.HasField("dim_value") else None for axis in axes]
        specs[value.name] = tf.TensorSpec(shape, samples[0][value.name].dtype)
    try:
        function = tf.function(chain, autograph=False).get_concrete_function(specs)
        for sample in samples:
            results = function({n: tf.constant(sample[n]) for n in specs})
            for output, value in results.items():
                if not equal(sample[output], value.numpy()):
                    raise StepError(
                        f"{name} gives other values for '{output}' in TensorFlow, though each of "
                        "its operators alone does not",
                        "choose convert=onnx, or fix its free axes",
                    )
    except (NotKnown, TypeError, ValueError, AttributeError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:300]
        raise StepError(
            f"{name} cannot become a TensorFlow graph with free axes: {reason}",
            "fix its free axes (convert.batch=1 for the first one), or choose convert=onnx",
        ) from error
