"""Ranges of weights that leave room for their biases.

A bias is stored in 32 bits as a multiple of the input's scale times the weight's. A channel of zeros, as
pruning makes them, or of tiny weights has a scale so small that its bias does not fit; AI Edge Quantizer
0.10 stores another number then. A wider range for such a channel costs its weights nothing that shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taxiway.optimize.quantize.tflite.graph import FloatGraph, Scoped

LARGEST = 2**30
"""Of a stored bias: half of what 32 bits hold, for sums add to it."""
INPUT_AND_BIAS = {
    "CONV_2D": (0, 2),
    "DEPTHWISE_CONV_2D": (0, 2),
    "FULLY_CONNECTED": (0, 2),
    "CONV_2D_TRANSPOSE": (2, 3),
}
"""Positions among the operator's inputs; the weight is the second."""
WEIGHT = 1


def weight_ranges(graph: FloatGraph, ranges: Mapping[str, Any], config: Any) -> dict[str, Any]:
    """`min` and `max` by name for the weights that need other ones than their extremes.

    ranges: of the activations. config: the quantizer's, for all operators.
    """
    wider: dict[str, Any] = {}
    for scoped in graph.operators:
        if scoped.key in INPUT_AND_BIAS and scoped.weighted:
            wider |= _of(graph, scoped, ranges, config)
    return wider


def _of(
    graph: FloatGraph, scoped: Scoped, ranges: Mapping[str, Any], config: Any
) -> dict[str, Any]:
    import numpy as np

    given, stored = INPUT_AND_BIAS[scoped.key]
    places = [graph.input(scoped, position) for position in (given, WEIGHT, stored)]
    if None in places:
        return {}
    source, weight, added = (place for place in places if place is not None)
    ends = ranges.get(graph.name(source))
    values, bias = graph.constant(weight), graph.constant(added)
    if ends is None or values is None or bias is None:
        return {}
    axis = 3 if scoped.key == "DEPTHWISE_CONV_2D" else 0
    per_channel = config.weight_tensor_config.granularity.value == "CHANNELWISE"
    axes = tuple(other for other in range(values.ndim) if other != axis or not per_channel)
    largest = np.abs(values).max(axes, keepdims=True)
    low, high = min(float(ends["min"].min()), 0.0), max(float(ends["max"].max()), 0.0)
    activations = config.activation_tensor_config
    if activations.symmetric:
        scale = max(-low, high) / (2 ** (activations.num_bits - 1) - 1)
    else:
        scale = (high - low) / (2**activations.num_bits - 1)
    if scale == 0:
        return {}
    sizes = np.abs(bias).reshape(largest.shape) if per_channel else np.abs(bias).max()
    levels = 2 ** (config.weight_tensor_config.num_bits - 1) - 1
    needed = sizes * levels / (scale * LARGEST)
    if (needed <= largest).all():
        return {}
    bound = np.maximum(largest, needed).astype(np.float32)
    return {graph.name(weight): {"min": -bound, "max": bound}}
