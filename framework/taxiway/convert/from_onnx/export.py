"""A network as a SavedModel with the tensor names and dtypes of the ONNX model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taxiway.convert.canonical import make_canonical
from taxiway.convert.from_onnx.piece import Piece
from taxiway.convert.from_onnx.prepare import Prepared
from taxiway.errors import StepError
from taxiway.model import Model

SIGNATURE = "serving_default"


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
        signature = serve.get_concrete_function(**specs)
        module = tf.Module()
        used = {id(variable): variable for variable in signature.graph.variables}
        # In the network's order; onnx2tf hides those of some layers from Keras.
        known = [variable for variable in network.variables if id(variable) in used]
        listed = {id(variable) for variable in known}
        module.weights = known + [v for at, v in used.items() if at not in listed]
        tf.saved_model.save(module, str(path), signatures={SIGNATURE: signature})
    except (AssertionError, KeyError, TypeError, ValueError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:500]
        raise StepError(
            f"what onnx2tf made of {source.path.name} cannot be saved as a SavedModel: {reason}",
            "choose convert=onnx",
        ) from error
    make_canonical(path)


def _shape(value: Any) -> list[int | None]:
    axes = value.type.tensor_type.shape.dim
    return [axis.dim_value if axis.HasField("dim_value") else None for axis in axes]


def _shaped(tensor: Any, shape: tuple[int | str, ...]) -> Any:
    """Fixed axes that the ONNX model states and TensorFlow could not infer."""
    if "..." not in shape and tensor.shape.rank in (None, len(shape)):
        tensor.set_shape([axis if isinstance(axis, int) else None for axis in shape])
    return tensor
