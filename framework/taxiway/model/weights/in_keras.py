"""Weights of a Keras file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taxiway.model.load_keras import load_keras
from taxiway.model.weights.stored import StoredWeight

_KERNEL_AXES = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D"), (-2, -1)),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), (-1, -2)),
    **dict.fromkeys(("LSTMCell", "GRUCell", "SimpleRNNCell"), (-2, -1)),
}
"""Input and output axis of `kernel`, as Keras documents its layers; also of `recurrent_kernel`."""


def keras_weights(path: Path, trust: str | None = None) -> Iterator[StoredWeight]:
    """Float and signed integer variables by path, the later one of two of a path with `#2`; no state of
    random generators."""
    import numpy as np

    network = load_keras(path, trust)
    axes = axes_of(network)
    names: dict[str, int] = {}
    for variable in (*network.trainable_weights, *network.non_trainable_weights):
        noted = str(getattr(variable, "path", variable.name))
        names[noted] = names.get(noted, 0) + 1
        name = noted if names[noted] == 1 else f"{noted}#{names[noted]}"
        values = np.asarray(variable)
        if values.dtype.kind in "fi" or values.dtype.name == "bfloat16":
            if values.dtype.name == "bfloat16":
                values = values.astype(np.float32)
            yield StoredWeight(name, values, axes=axes.get(id(variable)))


def axes_of(network: Any) -> dict[int, tuple[int, int]]:
    """Input and output axis of each kernel of a Keras model, by `id` of the variable."""
    found = {}
    for layer in network._flatten_layers():
        kind = _KERNEL_AXES.get(type(layer).__name__)
        for name in ("kernel", "recurrent_kernel", "pointwise_kernel"):
            axes = (-2, -1) if name == "pointwise_kernel" else kind
            # A layer under adaptation or quantization computes what `kernel` gives: `_kernel` is stored.
            variable = getattr(layer, f"_{name}", None)
            variable = getattr(layer, name, None) if variable is None else variable
            if axes and variable is not None and getattr(layer, "built", False):
                found[id(variable)] = axes
    return found
