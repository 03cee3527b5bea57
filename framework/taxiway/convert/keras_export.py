"""Keras -> SavedModel with tf.saved_model.save, for Keras 3 and tf_keras alike.

`keras.Model.export` stores every variable twice, in an order that changes from run to run, and
renames the outputs; here one function over the model's variables is saved, under its own names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model

SIGNATURE = "serving_default"


def export(
    model: Model,
    path: Path,
    wanted: Model | None = None,
    rewrite: Callable[[Any], object] | None = None,
) -> None:
    """Write `model` (format keras) as a SavedModel folder at `path`.

    wanted: what it must take and give; None keeps inputs and outputs as they are. rewrite: gets the
    loaded network before it is traced.
    Equal models give equal files, in any process of one TensorFlow version.
    """
    import tensorflow as tf

    from taxiway.convert.canonical import make_canonical
    from taxiway.convert.tensorflow_ends import with_ends
    from taxiway.model.load_keras import load_keras

    network = load_keras(model.path, model.trusted)
    if rewrite:
        rewrite(network)
    names = [spec.name for spec in model.signature.outputs]
    # A Functional model insists on the structure it was built with; a Sequential has none.
    structure = getattr(network, "_inputs_struct", network.inputs)
    single = isinstance(structure, list) and len(model.signature.inputs) == 1
    structure = structure[0] if single else structure

    def serve(tensors: Mapping[str, Any]) -> dict[str, Any]:
        values = [tensors[spec.name] for spec in model.signature.inputs]
        results = network(tf.nest.pack_sequence_as(structure, values), training=False)
        return dict(zip(names, tf.nest.flatten(results), strict=True))

    try:
        signature = with_ends(serve, model, wanted or model)
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
