"""What samples tell of a Keras network: what flows into its layers, and how its loss moves with its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model.inspect import keras_signature
from taxiway.model.runners.batching import fixed_batch
from taxiway.optimize.channels.graph import ChannelGraph
from taxiway.optimize.channels.keras.trace import calls, function_of, is_network
from taxiway.optimize.channels.means import Means
from taxiway.optimize.training.network import named_weights
from taxiway.optimize.training.objective import Tensors, default_objective
from taxiway.optimize.training.rows import RowStream
from taxiway.plugins import Context, Selection

Array = np.ndarray[Any, Any]
BATCH = 32
MEMORY = 64 << 20
"""Bytes of rows that are held at once."""


def means(network: Any, graph: ChannelGraph, selection: Selection, context: Context) -> list[Array]:
    """For each tap the mean absolute value at each place, `[places]`, over the samples of a split.

    Raises StepError for values that are not finite.
    """
    layers = layers_by_path(network)
    axes = {tap.layer: tap.axis for tap in graph.taps}
    at = {path: place for place, path in enumerate(axes)}
    found = Means(len(axes))
    rows = _rows(network, selection, context)
    with ExitStack() as stack:
        for path, axis in axes.items():

            def seen(values: Any, path: str = path, axis: int = axis) -> None:
                found.add(at[path], np.asarray(values), axis, path)

            stack.enter_context(_watched(layers[path], seen))
        done = 0
        for batch in rows.in_order(fixed_batch(keras_signature(network)) or BATCH):
            network(_packed(network, batch.inputs), training=False)
            done += len(batch)
            context.progress(done, rows.count, "samples")
    values = found.values()
    return [values[at[tap.layer]] for tap in graph.taps]


def products(
    network: Any, selection: Selection, context: Context, output: str | None
) -> Iterator[Mapping[str, Array]]:
    """For each batch: weight -> weight x gradient of the mean loss, elementwise.

    The loss is the one that a training takes. Raises StepError for a gradient that is not finite.
    """
    import tensorflow as tf

    rows = _rows(network, selection, context)
    objective = default_objective(network, rows.example, output)
    objective.check(rows.example)
    names = {id(weight): name for name, weight in named_weights(network).items()}
    weights = network.trainable_variables
    done = 0
    for batch in rows.in_order(fixed_batch(keras_signature(network)) or BATCH):
        objective.check(batch)
        with tf.GradientTape() as tape:
            outputs = tf.nest.flatten(network(_packed(network, batch.inputs), training=False))
            tensors = Tensors(batch.inputs, tf.constant(batch.labels), batch.index)
            loss = tf.reduce_mean(objective.loss(outputs, tensors))
        gradients = tape.gradient(
            loss, [weight.value for weight in weights], unconnected_gradients="zero"
        )
        found: dict[str, Array] = {}
        for weight, gradient in zip(weights, gradients, strict=True):
            name = names[id(weight)]
            found[name] = np.asarray(weight.value) * np.asarray(tf.convert_to_tensor(gradient))
            if not np.isfinite(found[name]).all():
                raise StepError(
                    f"the gradient of weight '{name}' holds NaN or Inf on the samples",
                    "look for NaN in the data and in the model, or take importance=l1",
                )
        done += len(batch)
        context.progress(done, rows.count, "samples")
        yield found


def layers_by_path(network: Any, prefix: str = "") -> dict[str, Any]:
    """Every layer by its name, after those of the networks it is nested in."""
    found: dict[str, Any] = {}
    for call in calls(function_of(network)):
        path = f"{prefix}{call.operation.name}"
        if is_network(call.operation):
            found |= layers_by_path(call.operation, f"{path}/")
        else:
            found[path] = call.operation
    return found


@contextmanager
def _watched(layer: Any, seen: Any) -> Iterator[None]:
    """Show the first input of each call of a layer."""
    plain = layer.call

    def call(inputs: Any, *arguments: Any, **keywords: Any) -> Any:
        seen(inputs)
        return plain(inputs, *arguments, **keywords)

    layer.call = call
    try:
        yield
    finally:
        del layer.call


def _rows(network: Any, selection: Selection, context: Context) -> RowStream:
    assert context.data is not None
    signature = keras_signature(network)
    return RowStream(context.data, selection, signature, MEMORY)


def _packed(network: Any, inputs: tuple[Array, ...]) -> Any:
    """Inputs in the structure that the network is called with."""
    import tensorflow as tf

    structure = getattr(network, "_inputs_struct", network.inputs)
    if isinstance(structure, list) and len(inputs) == 1:
        structure = structure[0]
    return tf.nest.pack_sequence_as(structure, list(inputs))
