"""Folds batch normalizations into the layer before them: the same outputs from fewer numbers.

With the figures of inference, `gamma * (x - mean) / sqrt(variance + epsilon) + beta` is one factor and one
summand for each channel (B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", 2018, section 3.2). Every converter does it; whoever wants the weights
that a target gets does it first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_OUTPUT_LAST = ("Dense", "Conv1D", "Conv2D", "Conv3D")
_OUTPUT_BEFORE_LAST = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
_SEPARABLE = ("SeparableConv1D", "SeparableConv2D")
_FOLDS = (*_OUTPUT_LAST, *_OUTPUT_BEFORE_LAST, *_DEPTHWISE, *_SEPARABLE)


def fold_batch_norm(network: Any) -> Any:
    """A keras.Model of new layers that computes the same at inference, without the foldable normalizations.

    network: functional or sequential, its inner models included; any other is given back as it is.
    Folded is a BatchNormalization over the channels that alone reads a Dense, convolution, depthwise,
    separable or transposed convolution without activation, each of them used once. Others stay, such as
    one before a convolution. Layers keep their names; a normalization that is an output becomes an
    identity of its name. Weights, but no state of an optimizer, are copied.
    """
    return _Folding().folded(network) if is_graph(network) else network


class _Folding:
    def __init__(self) -> None:
        self._models: dict[int, Any] = {}

    def folded(self, model: Any) -> Any:
        """The same for the same model: it may be used at several places."""
        if id(model) not in self._models:
            self._models[id(model)] = self._fold(model)
        return self._models[id(model)]

    def _fold(self, model: Any) -> Any:
        import keras

        pairs = dict(_foldable(model))
        normalization_of = {id(layer): norm for norm, layer in pairs.items()}
        ends = {tensor._keras_history.operation.name for tensor in model.outputs}
        made: list[tuple[Any, Any]] = []
        # By `id`, and held, so that no other layer gets the same.
        skipped: dict[int, Any] = {}

        def clone(layer: Any) -> Any:
            if is_graph(layer):
                return self.folded(layer)
            if layer in pairs:
                new = keras.layers.Identity(name=layer.name, dtype=layer.dtype_policy)
                skipped[id(new)] = new
                return new
            bias = {"use_bias": True} if id(layer) in normalization_of else {}
            new = type(layer).from_config({**layer.get_config(), **bias})
            if isinstance(layer, keras.layers.Layer):
                made.append((layer, new))
            return new

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            if id(layer) not in skipped:
                return layer(*args, **kwargs)
            return layer(args[0]) if layer.name in ends else args[0]

        if isinstance(model, keras.Sequential):
            given = model.inputs[0]
            start = keras.Input(batch_shape=given.shape, dtype=given.dtype, name=given.name)
            layers = [clone(layer) for layer in model.layers]
            kept = [layer for layer in layers if id(layer) not in skipped or layer.name in ends]
            result = keras.Sequential([start, *kept], name=model.name)
        else:
            result = keras.models.clone_model(model, clone_function=clone, call_function=call)
        for layer, new in made:
            norm = normalization_of.get(id(layer))
            new.set_weights(_folded_weights(layer, norm) if norm else layer.get_weights())
            _name_alike(layer, new)
        return result


def _name_alike(layer: Any, new: Any) -> None:
    """Paths of weights are names that promises go by, and follow from how a model was built: keep them."""
    paths = [variable.path for variable in layer.weights]
    if len(new.weights) > len(paths):
        paths.append(f"{paths[0].rpartition('/')[0]}/bias")
    for variable, path in zip(new.weights, paths, strict=True):
        variable._path = path


def is_graph(layer: Any) -> bool:
    """Whether a layer is a functional or a sequential model, whose graph Keras knows."""
    return hasattr(getattr(layer, "_functional", None) or layer, "_nodes_by_depth")


def _foldable(model: Any) -> Iterator[tuple[Any, Any]]:
    """(normalization, layer it folds into) of one graph, without its inner models."""
    graph = getattr(model, "_functional", None) or model
    nodes = [node for level in graph._nodes_by_depth.values() for node in level]
    calls: dict[int, int] = {}
    readers: dict[int, int] = {}
    for node in nodes:
        calls[id(node.operation)] = calls.get(id(node.operation), 0) + 1
        for tensor in node.input_tensors:
            readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    for tensor in graph.outputs:
        readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    for node in nodes:
        norm = node.operation
        if type(norm).__name__ != "BatchNormalization" or calls[id(norm)] != 1:
            continue
        (tensor,) = node.input_tensors[:1]
        layer = tensor._keras_history.operation
        if (
            type(layer).__name__ in _FOLDS
            and type(layer).__module__.startswith("keras.")
            and layer.get_config()["activation"] == "linear"
            and calls.get(id(layer)) == 1
            and readers[id(tensor)] == 1
            and _over_channels(norm, layer, len(tensor.shape))
            and node.arguments.kwargs.get("training") is not True
        ):
            yield norm, layer


def _over_channels(norm: Any, layer: Any, rank: int) -> bool:
    axes = norm.axis if isinstance(norm.axis, list | tuple) else [norm.axis]
    first = getattr(layer, "data_format", None) == "channels_first"
    return [axis % rank for axis in axes] == [1 if first else rank - 1]


def _folded_weights(layer: Any, norm: Any) -> list[Any]:
    import numpy as np

    def figure(name: str, default: float) -> Any:
        variable = getattr(norm, name, None)
        return np.float64(default) if variable is None else np.asarray(variable, np.float64)

    factor = figure("gamma", 1) / np.sqrt(figure("moving_variance", 1) + norm.epsilon)
    bias = np.asarray(layer.bias, np.float64) if layer.use_bias else 0.0
    shifted = (bias - figure("moving_mean", 0)) * factor + figure("beta", 0)
    kind = type(layer).__name__
    kernels = layer.get_weights()[: 2 if kind in _SEPARABLE else 1]
    if kind in _OUTPUT_BEFORE_LAST:
        scaled = kernels[-1] * factor[:, None]
    elif kind in _DEPTHWISE:
        scaled = kernels[-1] * factor.reshape(kernels[-1].shape[-2:])
    else:
        scaled = kernels[-1] * factor
    return [array.astype(np.float32) for array in (*kernels[:-1], scaled, shifted)]
