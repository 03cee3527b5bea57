"""A second graph over the layers of a network, with the rounding of activations between them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras

from taxiway.optimize.fold import is_graph
from taxiway.optimize.quantize.aware.ranges import Range

_SAME_VALUES = {
    *("Flatten", "Reshape", "Permute", "RepeatVector", "Identity", "Concatenate", "Masking"),
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout"),
    *("GaussianNoise", "AlphaDropout", "ActivityRegularization"),
    *(f"MaxPooling{n}D" for n in (1, 2, 3)),
    *(f"GlobalMaxPooling{n}D" for n in (1, 2, 3)),
    *(f"{kind}{n}D" for kind in ("ZeroPadding", "Cropping", "UpSampling") for n in (1, 2, 3)),
    *("Transpose", "Squeeze", "ExpandDims", "GetItem", "Split", "Stack", "Pad", "MaxPool"),
}
"""Layers and operations whose results have the values, or zeros, of what they get: targets give them its scale."""
_RECURRENT = {
    "LSTM",
    "GRU",
    "SimpleRNN",
    "RNN",
    "Bidirectional",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
}
"""Targets keep their activations in float, or quantize them otherwise: only their weights are rounded."""
_SPLIT = {
    *("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D"),
    *(
        "Conv1DTranspose",
        "Conv2DTranspose",
        "Conv3DTranspose",
        "SeparableConv1D",
        "SeparableConv2D",
    ),
}
"""Layers with an activation of their own."""
_FUSES = {*_SPLIT, "Add", "Subtract", "Multiply", "BatchNormalization"}
"""What targets compute together with a ReLU that alone reads it."""
_FUSED = ("linear", "relu", "relu6")
"""Activations that are part of the operator before them."""


class Rounding:
    """`network` over the same variables as the network it is made of; a context, for that changes meanwhile.

    network: functional; has the inputs and the outputs of the other. ranges: its `Range` layers, in order.
    left: names of layers whose result stays as it is. activations: whether any is rounded.

    Rounded is what targets store in 8 bits: inputs, and results of operators with their ReLU. A result of the
    whole network is not, so that a loss sees its probabilities. Activations that are no ReLU are computed
    apart, after the rounding of what they get.
    """

    def __init__(self, network: Any, left: Collection[str], activations: bool = True) -> None:
        self._left, self._activations = frozenset(left), activations
        self._changed: dict[int, tuple[Any, Any]] = {}
        self._named: dict[str, Any] = {}
        self._renamed: list[tuple[Any, str]] = []
        self.ranges: list[Range] = []
        graph = _graph(network)
        self._structure = graph._inputs_struct
        for operation in graph.operations:
            self._own_name(operation)
        inputs = keras.tree.map_structure(
            lambda tensor: keras.Input(
                batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name
            ),
            self._structure,
        )
        given = [self._rounded(tensor) for tensor in keras.tree.flatten(inputs)]
        outputs = self._run(network, given, {id(tensor) for tensor in graph.outputs})
        packed = keras.tree.pack_sequence_as(graph._outputs_struct, outputs)
        self.network = keras.Model(inputs, packed, name=network.name)
        for operation, name in self._renamed:
            operation.name = name

    def __enter__(self) -> Rounding:
        # The graph is traced while it is trained: until then the layers give what comes before activations.
        for layer, _ in self._changed.values():
            layer.activation = keras.activations.linear
        return self

    def __exit__(self, *_: object) -> None:
        for layer, activation in self._changed.values():
            layer.activation = activation

    def call(self, arrays: tuple[Any, ...]) -> Any:
        """The outputs for arrays in the order of the signature, computed at once, for inference."""
        structure = self._structure
        if isinstance(structure, list) and len(arrays) == 1:
            structure = structure[0]
        return self.network(keras.tree.pack_sequence_as(structure, list(arrays)), training=False)

    def _run(self, model: Any, given: list[Any], ends: set[int]) -> list[Any]:
        """The outputs of `model` for symbolic tensors; ends: `id` of its tensors that are the network's results."""
        graph = _graph(model)
        known = {id(old): new for old, new in zip(graph.inputs, given, strict=True)}
        readers = _readers(graph)
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if node.is_input or any(id(tensor) not in known for tensor in node.input_tensors):
                    continue
                results = self._node(node, known, readers, ends)
                known |= {id(old): new for old, new in zip(node.outputs, results, strict=True)}
        return [known[id(tensor)] for tensor in graph.outputs]

    def _node(
        self, node: Any, known: dict[int, Any], readers: dict[int, list[Any]], ends: set[int]
    ) -> list[Any]:
        operation = node.operation
        self._own_name(operation)
        args, kwargs = node.arguments.fill_in(known)
        if is_graph(operation):
            inner = zip(_graph(operation).outputs, node.outputs, strict=True)
            inner_ends = {id(tensor) for tensor, outer in inner if id(outer) in ends}
            return self._run(operation, keras.tree.flatten(args[0]), inner_ends)
        is_end = any(id(tensor) in ends for tensor in node.outputs)
        kind, stays = type(operation).__name__, self._given_name(operation) in self._left
        activation = getattr(operation, "activation", None) if kind in _SPLIT else None
        name = getattr(activation, "__name__", "linear")
        split = name not in _FUSED and not is_end and not stays and self._activations
        if split:
            self._changed[id(operation)] = (operation, activation)
        result = operation(*args, **kwargs)
        if split:
            result = keras.layers.Activation(activation)(self._rounded(result))
        results: list[Any] = keras.tree.flatten(result)
        if is_end or stays or kind in _SAME_VALUES or kind in _RECURRENT:
            return results
        if kind in _FUSES and name == "linear" and _goes_into_relu(node, readers):
            return results
        return [self._rounded(tensor) for tensor in results]

    def _given_name(self, operation: Any) -> str:
        names = [name for renamed, name in self._renamed if renamed is operation]
        return str(names[0] if names else operation.name)

    def _own_name(self, operation: Any) -> None:
        """Layers of inner models may be called alike; those of one graph may not, while Keras makes it."""
        name, number = operation.name, 2
        while self._named.setdefault(operation.name, operation) is not operation:
            operation.name, number = f"{name}_{number}", number + 1
        if operation.name != name:
            self._renamed.append((operation, name))

    def _rounded(self, tensor: Any) -> Any:
        if not self._activations or "float" not in keras.backend.standardize_dtype(tensor.dtype):
            return tensor
        layer = Range(name=f"activation_range_{len(self.ranges)}")
        self.ranges.append(layer)
        return layer(tensor)


def _graph(model: Any) -> Any:
    """A sequential model has its graph inside."""
    return getattr(model, "_functional", None) or model


def _readers(graph: Any) -> dict[int, list[Any]]:
    """`id` of a tensor -> the operations that read it; None for the graph's end."""
    found: dict[int, list[Any]] = {}
    for level in graph._nodes_by_depth.values():
        for node in level:
            for tensor in node.input_tensors:
                found.setdefault(id(tensor), []).append(node.operation)
    for tensor in graph.outputs:
        found.setdefault(id(tensor), []).append(None)
    return found


def _goes_into_relu(node: Any, readers: dict[int, list[Any]]) -> bool:
    (tensor,) = node.outputs[:1]
    following = readers.get(id(tensor), [])
    if len(following) != 1 or following[0] is None:
        return False
    operation = following[0]
    kind = type(operation).__name__
    if kind == "ReLU":
        plain = not operation.negative_slope and not operation.threshold
        return plain and operation.max_value in (None, 6, 6.0)
    if kind == "Activation":
        return getattr(operation.activation, "__name__", "") in ("relu", "relu6")
    return kind in ("Relu", "Relu6")
