"""A recurrent Keras layer is written out step by step in place of a loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from taxiway.convert.repairs.repair import Repair
from taxiway.errors import StepError

LIMIT = 256
"""Cell steps in one model: written out, each is some twenty operators."""


@dataclass
class _Left:
    """How many cell steps may still be written out."""

    steps: int = LIMIT

    def take(self, layer: str, steps: int | None) -> None:
        if steps is None:
            raise _refusal(f"the time axis of '{layer}' is free, and cannot be written out")
        self.steps -= steps
        if self.steps < 0:
            raise _refusal(f"written out, the model has more than {LIMIT} cell steps")


def _refusal(reason: str) -> StepError:
    error = StepError(reason)
    # Keras leaves an error alone that has it, and else puts the layer's arguments into the message.
    error._keras_call_info_injected = True  # type: ignore[attr-defined]
    return error


def applies(network: Any) -> int:
    return len(_layers(network))


def apply(network: Any) -> int:
    """From now on a call of `network` (keras.Model or tf_keras.Model, loaded and not shared) writes the
    steps out. That call raises StepError where a time axis is free, or the steps are more than LIMIT."""
    found, left = _layers(network), _Left()
    for layer in found:
        layer.call = _written_out(layer, layer.call, left)
    return len(found)


def _layers(network: Any) -> list[Any]:
    import keras

    kinds: tuple[type, ...] = (keras.layers.RNN,)
    if not isinstance(network, keras.Model):
        import tf_keras

        kinds = (tf_keras.layers.RNN,)
    # Those inside of wrappers and of nested models, too, which `layers` does not list.
    every = {id(layer): layer for layer in network._flatten_layers()}
    return [layer for layer in every.values() if isinstance(layer, kinds)]


def _written_out(layer: Any, call: Callable[..., Any], left: _Left) -> Callable[..., Any]:
    @wraps(call)
    def written_out(*args: Any, **kwargs: Any) -> Any:
        import tensorflow as tf

        sequences = args[0] if args else kwargs.get("sequences", kwargs.get("inputs"))
        axis = 0 if getattr(layer, "time_major", False) else 1
        steps = tf.nest.flatten(sequences)[0].shape[axis]
        cells = getattr(layer.cell, "cells", [layer.cell])
        left.take(layer.name, None if steps is None else steps * len(cells))
        layer.unroll = True
        if hasattr(layer, "_could_use_gpu_kernel"):
            # tf_keras: LSTM and GRU would take a function of their own, which is a loop.
            layer._could_use_gpu_kernel = False
        return call(*args, **kwargs)

    return written_out


REPAIR = Repair(
    name="unroll",
    stage="from Keras to TFLite",
    about="TFLite has no loop whose results have a free batch axis; recurrent layers of a fixed number "
    f"of steps, up to {LIMIT} in all, are written out step by step.",
    source="https://ai.google.dev/edge/litert/models/rnn (fixed batch); "
    "https://keras.io/api/layers/recurrent_layers/lstm/ (unroll)",
    applies=applies,
    apply=apply,
)
