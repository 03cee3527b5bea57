"""A network as a SavedModel with the tensor names and dtypes of the ONNX model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from taxiway.convert.canonical import make_canonical
from taxiway.convert.from_onnx.piece import Piece
from taxiway.convert.from_onnx.prepare import Prepared
from taxiway.errors import StepError
from taxiway.model import Model

SIGNATURE = "serving_default"
_COUNTED = re.compile(r"(?:(?<=/)|^)\d+$")


def write_saved_model(
    network: Piece, prepared: Prepared, source: Model, names: Mapping[str, str], path: Path
) -> None:
    """Save `network` at `path` with one signature, `serving_default`.

    source: the ONNX model, whose dtypes the inputs and outputs get. names: what the signature calls
    the tensors that the ONNX model calls otherwise. Equal models give equal files.
    """
    import tensorflow as tf
    from onnx import helper

    inner = {old: new for new, old in prepared.renamed.tensors.items()}
    axes = {value.name: _shape(value) for value in prepared.proto.graph.input}
    dtypes = {
        value.name: helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        for value in prepared.proto.graph.input
    }
    takes = {names.get(spec.name, spec.name): spec for spec in source.signature.inputs}
    gives = {names.get(spec.name, spec.name): spec for spec in source.signature.outputs}
    specs = {
        name: tf.TensorSpec(axes[inner[spec.name]] if spec.shape else [], spec.dtype, name)
        for name, spec in takes.items()
    }

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def serve(**tensors: Any) -> dict[str, Any]:
        given = {
            inner[spec.name]: tf.cast(
                tensors[name] if spec.shape else tf.reshape(tensors[name], [1]),
                dtypes[inner[spec.name]],
            )
            for name, spec in takes.items()
        }
        results = network(given)
        return {
            name: tf.identity(tf.cast(_shaped(results[inner[spec.name]], spec.shape), spec.dtype))
            for name, spec in gives.items()
        }

    try:
        frozen = _frozen(serve.get_concrete_function(**specs))
        signature = tf.function(frozen, autograph=False).get_concrete_function(**specs)
        tf.saved_model.save(tf.Module(), str(path), signatures={SIGNATURE: signature})
    except (AssertionError, KeyError, TypeError, ValueError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:500]
        raise StepError(
            f"what onnx2tf made of {source.path.name} cannot be saved as a SavedModel: {reason}",
            "choose convert=onnx",
        ) from error
    make_canonical(path)


def _frozen(function: Any) -> Callable[..., dict[str, Any]]:
    """`function` with its variables and captured tensors as constants, and those numbered from 0:
    TensorFlow names captures by a counter that runs through the process."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # Lowered loops are those of TensorFlow 1, which the TFLite converter does not take.
    constant = convert_variables_to_constants_v2(function, lower_control_flow=False)
    graph = _renumbered(constant.graph.as_graph_def())
    inputs = [tensor.name for tensor in constant.inputs]
    outputs = [tensor.name for tensor in constant.outputs]
    takes = list(function.structured_input_signature[1])
    # As tf.nest flattens a dict.
    gives = sorted(function.structured_outputs)

    def call(**tensors: Any) -> dict[str, Any]:
        given = {inner: tensors[name] for inner, name in zip(inputs, takes, strict=True)}
        results = tf.graph_util.import_graph_def(graph, given, outputs, name="")
        return dict(zip(gives, results, strict=True))

    return call


def _renumbered(graph: Any) -> Any:
    names = [node.name for node in graph.node if node.op == "Const" and _COUNTED.search(node.name)]
    new = {
        name: f"{_COUNTED.sub('', name)}captured_{at}"
        for at, name in enumerate(sorted(names, key=_number))
    }
    for node in graph.node:
        node.name = new.get(node.name, node.name)
        node.input[:] = [new.get(name, name) for name in node.input]
    return graph


def _number(name: str) -> int:
    return int(name.rpartition("/")[2])


def _shape(value: Any) -> list[int | None]:
    axes = value.type.tensor_type.shape.dim
    return [axis.dim_value if axis.HasField("dim_value") else None for axis in axes]


def _shaped(tensor: Any, shape: tuple[int | str, ...]) -> Any:
    """Fixed axes that the ONNX model states and TensorFlow could not infer."""
    if "..." not in shape and tensor.shape.rank in (None, len(shape)):
        tensor.set_shape([axis if isinstance(axis, int) else None for axis in shape])
    return tensor
