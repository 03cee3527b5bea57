"""A network that only tf_keras reads, built anew in Keras 3 from its config, with the same weights."""

from __future__ import annotations

import inspect
import json
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model

_TOLERANCE = 1e-4
"""Largest difference of outputs, relative to the largest of them: both libraries call the same kernels."""
_SAID_BY_DEFAULT: tuple[Any, ...] = (None, False, 1, [], {})
"""Values of an option that Keras 3 no longer has which ask for nothing, such as `groups=1`."""
_BASE_OPTIONS = {"name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_shape"}


def rebuilt(old: Any, model: Model) -> Any:
    """The `keras.Model` that computes what a `tf_keras.Model` does.

    Raises StepError that names the layer which Keras 3 has not, whose option it does not know, or whose
    weights it shapes in another way, and where outputs on random inputs differ.
    """
    import keras
    from keras.src.legacy.saving import saving_utils

    # As JSON has it: lists that can be written to, no tuples, no wrappers.
    config = json.loads(old.to_json())
    if config["class_name"] not in ("Sequential", "Functional"):
        raise _unable(model, f"it is a {config['class_name']}, neither Sequential nor Functional")
    _drop_unknown(config["config"], model)
    _renumber_calls(config["config"])
    try:
        network = saving_utils.model_from_config(config)
    except Exception as error:
        raise _unable(model, " ".join(str(error).split())[:300]) from error
    for layer in network.layers:
        _copy_weights(layer, old.get_layer(layer.name), model)
    assert isinstance(network, keras.Model)
    _compare(network, old, model)
    return network


def _drop_unknown(config: Any, model: Model) -> None:
    """Remove the options of every layer that Keras 3 does not know, where they ask for nothing."""
    for part in config.values() if isinstance(config, dict) else config:
        if isinstance(part, dict | list | tuple):
            _drop_unknown(part, model)
    if isinstance(config, dict) and isinstance(config.get("config"), dict):
        options = config["config"]
        if "class_name" in config and "name" in options and "layers" not in options:
            _fit_options(str(config["class_name"]), options, model)


def _fit_options(kind: str, options: dict[str, Any], model: Model) -> None:
    import keras

    known = getattr(keras.layers, kind, None)
    if known is None:
        raise _unable(model, f"layer '{options['name']}' is a {kind}, which Keras 3 has not")
    axis = options.get("axis")
    if kind == "BatchNormalization" and isinstance(axis, list | tuple) and len(axis) == 1:
        options["axis"] = axis[0]
    accepted = set(inspect.signature(known.__init__).parameters) | _BASE_OPTIONS
    for option in set(options) - accepted:
        if options[option] not in _SAID_BY_DEFAULT:
            said = f"{option}={options[option]!r}, which Keras 3 has not"
            raise _unable(model, f"layer '{options['name']}' ({kind}) has {said}")
        del options[option]


def _renumber_calls(config: dict[str, Any]) -> None:
    """In Keras 2 a nested network's own making is its call 0; in Keras 3 its first use is."""
    nested = {layer["config"]["name"] for layer in config["layers"] if "layers" in layer["config"]}

    def renumber(part: Any) -> None:
        if (
            isinstance(part, list)
            and len(part) >= 3
            and isinstance(part[0], str)
            and part[0] in nested
            and part[1]
        ):
            part[1] -= 1
        for inner in part.values() if isinstance(part, dict) else part:
            if isinstance(inner, dict | list):
                renumber(inner)

    for layer in config["layers"]:
        renumber(layer.get("inbound_nodes", []))
        if "layers" in layer["config"]:
            _renumber_calls(layer["config"])
    renumber(config.get("output_layers", []))


def _copy_weights(layer: Any, old: Any, model: Model) -> None:
    values = old.get_weights()
    shapes = [list(value.shape) for value in values]
    wanted = [list(weight.shape) for weight in layer.weights]
    if shapes != wanted:
        raise _unable(model, f"layer '{layer.name}' has weights {shapes}, Keras 3 expects {wanted}")
    layer.set_weights(values)


def _compare(network: Any, old: Any, model: Model) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    inputs = [
        rng.uniform(0, 1, [2 if axis is None else axis for axis in tensor.shape]).astype(
            tensor.dtype
        )
        for tensor in network.inputs
    ]
    given = inputs if len(inputs) > 1 else inputs[0]
    for name, new, expected in zip(
        network.output_names,
        *(_flat(net(given, training=False)) for net in (network, old)),
        strict=True,
    ):
        worst = float(np.max(np.abs(new - expected), initial=0))
        scale = float(np.max(np.abs(expected), initial=0))
        if not worst <= _TOLERANCE * max(scale, 1e-6):
            raise _unable(model, f"output '{name}' then differs by {worst:.3g} of {scale:.3g}")


def _flat(outputs: Any) -> list[Any]:
    import numpy as np
    import tensorflow as tf

    return [np.asarray(output) for output in tf.nest.flatten(outputs)]


def _unable(model: Model, why: str) -> StepError:
    return StepError(
        f"{model.path.name} is of Keras 2 and cannot be rebuilt in Keras 3 to be trained: {why}",
        "save it with Keras 3 as .keras, or use passes that work on onnx or tflite",
    )
