"""A Keras network built anew with fewer filters and units, and the weights that are left."""

from __future__ import annotations

from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.optimize.channels.graph import ChannelGraph, Cut, cut_weight
from taxiway.optimize.training.network import named_weights


def without(network: Any, graph: ChannelGraph, cut: Cut) -> Any:
    """The `keras.Model` without the channels that are cut; `network` stays as it is.

    Raises StepError where Keras cannot build it from its config.
    """
    config = network.get_config()
    counts: dict[str, dict[tuple[str | int, ...], int]] = {}
    for stored in graph.stored:
        counts.setdefault(stored.owner, {})[stored.key] = int((~cut[stored.ids]).sum())
    _change(config, counts, "")
    _forget_shapes(config)
    try:
        made = type(network).from_config(config)
    except Exception as error:
        raise StepError(
            f"Keras cannot build '{network.name}' from its config: {' '.join(str(error).split())[:300]}",
            "start from the model in ONNX: source=onnx",
        ) from error
    names = {id(weight): name for name, weight in named_weights(network).items()}
    for old, new in zip(network.weights, made.weights, strict=True):
        values = cut_weight(graph, names[id(old)], np.asarray(old.value), cut)
        if values.shape != tuple(new.shape):
            raise StepError(
                f"weight '{names[id(old)]}' has shape {list(values.shape)} after the cut, the layer that "
                f"Keras builds wants {list(new.shape)}",
                "exclude the layer: optimize.prune_channels.exclude",
            )
        new.assign(values)
    return made


def _change(config: Any, counts: dict[str, dict[tuple[str | int, ...], int]], prefix: str) -> None:
    """Write numbers of channels into a network's config."""
    for layer in config["layers"]:
        options = layer["config"]
        path = f"{prefix}{options['name']}"
        if "layers" in options:
            _change(options, counts, f"{path}/")
            continue
        for key, count in counts.get(path, {}).items():
            if len(key) == 1:
                options[key[0]] = count
            else:
                values = list(options[key[0]])
                values[int(key[1])] = count
                options[key[0]] = values


def _forget_shapes(config: Any) -> None:
    """Drop the shapes that layers were built with, those of layers inside of layers, too."""
    if isinstance(config, dict):
        for key in ("build_config", "build_input_shape"):
            config.pop(key, None)
    for value in config.values() if isinstance(config, dict) else config:
        if isinstance(value, dict | list | tuple):
            _forget_shapes(value)
