"""The kernels of a Keras network, layer by layer, as a recipe names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from taxiway.optimize.fold import is_graph
from taxiway.optimize.operators import Operator, precisions

KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel", "recurrent_kernel", "embeddings")
"""What Keras calls the weights that hold nearly all of a network's numbers."""
_CHANNELS = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D"), (-1,)),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), (-2,)),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), (-2, -1)),
}
"""Layer -> axes of its kernel that are output channels, as Keras documents it."""


@dataclass(frozen=True)
class Kernel:
    """One weight of a layer.

    name: as `named_weights` gives it. layer: the layer that a recipe names, with its class. variable: a
    `keras.Variable`. channels: axes of output channels; empty where the layer has none.
    """

    name: str
    layer: Operator
    variable: Any
    channels: tuple[int, ...]


def kernels(network: Any) -> list[Kernel]:
    """Every trainable kernel or table of two axes or more, once, in the network's order.

    A layer that holds others, such as an LSTM or an attention, is one layer; an inner model is none: its
    layers are.
    """
    from taxiway.optimize.training.network import named_weights

    names = {id(variable): name for name, variable in named_weights(network).items()}
    found: list[Kernel] = []
    seen: set[int] = set()
    for layer in graph_layers(network):
        weights = [
            variable
            for variable in layer.trainable_weights
            if variable.name in KERNELS and len(variable.shape) > 1 and id(variable) not in seen
        ]
        size = sum(4 * _elements(variable) for variable in weights)
        operator = Operator(layer.name, type(layer).__name__, size)
        for variable in weights:
            seen.add(id(variable))
            found.append(
                Kernel(names[id(variable)], operator, variable, _channels(layer, variable))
            )
    return found


def graph_layers(network: Any) -> Iterator[Any]:
    """The layers of a functional or sequential network, those of its inner models in their place."""
    for layer in network.layers:
        if is_graph(layer):
            yield from graph_layers(layer)
        else:
            yield layer


def chosen(
    found: Sequence[Kernel], only: Iterable[str] = (), exclude: Iterable[str] = ()
) -> list[Kernel]:
    """The kernels of the layers that the patterns leave: names, classes or regular expressions.

    Raises StepError for a pattern that matches no layer.
    """
    layers = list(dict.fromkeys(kernel.layer for kernel in found))
    left_out = precisions(layers, only, exclude)
    return [kernel for kernel in found if kernel.layer.name not in left_out]


def _channels(layer: Any, variable: Any) -> tuple[int, ...]:
    if type(layer).__name__.startswith("Separable"):
        axes: tuple[int, ...] = (-1,) if variable.name == "pointwise_kernel" else (-2, -1)
    else:
        axes = _CHANNELS.get(type(layer).__name__, ())
    return tuple(axis % len(variable.shape) for axis in axes)


def _elements(variable: Any) -> int:
    import math

    return math.prod(variable.shape)
