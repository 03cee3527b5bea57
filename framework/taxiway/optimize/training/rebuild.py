"""A network that only tf_keras reads, built anew in Keras 3 from its config, with the same weights."""

from __future__ import annotations

import inspect
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

    config = {"class_name": type(old).__name__, "config": old.get_config()}
    if config["class_name"] not in ("Sequential", "Functional"):
        raise _unable(model, f"it is a {config['class_name']}, neither Sequential nor Functional")
    _drop_unknown(config["config"], model)
    try:
        network = saving_utils.model_from_config(config)
    except Exception as error:
        raise _unable(model, " ".join(str(error).split())[:300]) from error
    for layer in network.layers:
        _copy_weights(layer, old.get_layer(layer.name), model)
    assert isinstance(network, keras.Model)
    _compare(network, old, model)
    return network


def _drop_unknown(config: dict[str, Any], model: Model) -> None:
    """Remove the options that Keras 3 does not know, where they ask for nothing."""
    import keras

    for layer in config["layers"]:
        kind, options = layer["class_name"], layer["config"]
        if "layers" in options:
            _drop_unknown(options, model)
            continue
        known = getattr(keras.layers, kind, None)
        if known is None:
            raise _unable(
                model, f"layer '{options.get('name')}' is a {kind}, which Keras 3 has not"
            )
        accepted = set(inspect.signature(known.__init__).parameters) | _BASE_OPTIONS
        for option in set(options) - accepted:
            if options[option] not in _SAID_BY_DEFAULT:
                raise _unable(
                    model,
                    f"layer '{options.get('name')}' ({kind}) has {option}={options[option]!r}, "
                    "which Keras 3 has not",
                )
            del options[option]


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
