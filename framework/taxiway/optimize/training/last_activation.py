"""The activation that a network ends with, as its graph of layers says."""

from __future__ import annotations

from typing import Any, Literal

_PASSING = {"Reshape", "Flatten", "Identity", "Dropout", "Permute", "Squeeze", "ExpandDims", "Cast"}
"""Operations of Keras that leave values as they are."""


def last_activation(network: Any, output: int = 0) -> Literal["softmax", "sigmoid", "none"]:
    """What the values of an output went through last: they are probabilities, or logits.

    Looks through reshapes and into nested networks.
    """
    tensor = network.outputs[output]
    while True:
        operation, _, at = tensor._keras_history
        kind = type(operation).__name__
        if kind in ("Softmax", "Sigmoid"):
            return "softmax" if kind == "Softmax" else "sigmoid"
        if hasattr(operation, "layers") and getattr(operation, "outputs", None):
            tensor = operation.outputs[at]
            continue
        name = getattr(getattr(operation, "activation", None), "__name__", "linear")
        if name in ("softmax", "sigmoid"):
            return "softmax" if name == "softmax" else "sigmoid"
        passing = kind in _PASSING or (kind == "Activation" and name == "linear")
        inputs: Any = operation._inbound_nodes[0].input_tensors if passing else ()
        if len(inputs) != 1:
            return "none"
        tensor = inputs[0]
