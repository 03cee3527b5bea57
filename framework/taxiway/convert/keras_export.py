"""Keras -> SavedModel with tf.saved_model.save, for Keras 3 and tf_keras alike.

`keras.Model.export` stores every variable twice, in an order that changes from run to run, and
renames the outputs; here one function over the model's variables is saved, under its own names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model

SIGNATURE = "serving_default"


def with_batch(shape: Any, batch: int | None) -> list[int | None]:
    """`shape` (sizes, None where free) with a free first axis fixed to `batch`."""
    axes = list(shape)
    return [batch, *axes[1:]] if axes and axes[0] is None else axes


def export(model: Model, path: Path, batch: int | None = None) -> None:
    """Write `model` (format keras) as a SavedModel folder at `path`.

    batch: the size for a free first axis of the inputs; None leaves it free.
    Equal models give equal files, in any process of one TensorFlow version.
    """
    import tensorflow as tf

    from taxiway.convert.canonical import make_canonical
    from taxiway.model.load_keras import load_keras

    network = load_keras(model.path, model.trusted)
    inputs, outputs = model.signature.inputs, model.signature.outputs
    specs = {
        spec.name: tf.TensorSpec(with_batch(tensor.shape, batch), tensor.dtype, spec.name)
        for spec, tensor in zip(inputs, network.inputs, strict=True)
    }
    # A Functional model insists on the structure it was built with; a Sequential has none.
    structure = getattr(network, "_inputs_struct", network.inputs)
    structure = structure[0] if isinstance(structure, list) and len(specs) == 1 else structure

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def serve(**tensors: Any) -> dict[str, Any]:
        values = [tensors[spec.name] for spec in inputs]
        results = network(tf.nest.pack_sequence_as(structure, values), training=False)
        return dict(zip((spec.name for spec in outputs), tf.nest.flatten(results), strict=True))

    try:
        signature = serve.get_concrete_function(**specs)
        module = tf.Module()
        used = {id(variable) for variable in signature.graph.variables}
        variables = [v if isinstance(v, tf.Variable) else v.value for v in network.variables]
        # In the model's order, and without what inference does not read: random seeds.
        module.weights = [variable for variable in variables if id(variable) in used]
        tf.saved_model.save(module, str(path), signatures={SIGNATURE: signature})
    except (AssertionError, TypeError, ValueError) as error:
        raise StepError(
            f"'{model.path.name}' cannot be exported as a SavedModel: {error}",
            "save it as a SavedModel yourself and start the recipe with source=saved_model",
        ) from error
    make_canonical(path)
