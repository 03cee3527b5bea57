"""TensorFlow: a SavedModel's signature, or a Keras model traced to a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from taxiway.model.load_keras import load_keras
from taxiway.model.load_saved_model import load_saved_model
from taxiway.model.model import Model, Signature
from taxiway.model.runners.batching import fixed_batch, predict


class TensorFlowRunner:
    """A graph function; TensorFlow takes the thread count only before its first operation."""

    def __init__(self, model: Model, threads: int) -> None:
        import tensorflow as tf

        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        self.signature = model.signature
        if model.format == "saved_model":
            # Kept whole: a ConcreteFunction alone does not keep its variables alive.
            self._serving = load_saved_model(model.path)
        else:
            self._graph = traced(load_keras(model.path, model.trusted), model.signature)
        self._format = model.format

    def _invoke(self, stored: dict[str, np.ndarray[Any, Any]]) -> Sequence[np.ndarray[Any, Any]]:
        import tensorflow as tf

        tensors = {name: tf.constant(array) for name, array in stored.items()}
        if self._format == "saved_model":
            results = self._serving.function(**tensors)
            return [results[spec.name].numpy() for spec in self.signature.outputs]
        return [tensor.numpy() for tensor in self._graph(*tensors.values())]

    def predict(
        self, inputs: Mapping[str, np.ndarray[Any, Any]]
    ) -> dict[str, np.ndarray[Any, Any]]:
        return predict(self.signature, self._invoke, inputs, fixed_batch(self.signature))


def traced(model: Any, signature: Signature) -> Any:
    import tensorflow as tf

    specs = [
        tf.TensorSpec(
            [None if isinstance(axis, str) else axis for axis in spec.shape],
            tf.string if spec.dtype == "str" else spec.dtype,
        )
        for spec in signature.inputs
    ]

    structure = getattr(model, "_inputs_struct", model.inputs)
    structure = structure[0] if isinstance(structure, list) and len(specs) == 1 else structure

    @tf.function(input_signature=specs, autograph=False)  # type: ignore[untyped-decorator]
    def forward(*tensors: Any) -> list[Any]:
        inputs = tf.nest.pack_sequence_as(structure, tensors)
        return list(tf.nest.flatten(model(inputs, training=False)))

    return forward
