"""The float weights of an ONNX graph that pruning may take, and where their data is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from taxiway.optimize.prune.weights import PrunedWeight

_SLOTS = {
    **dict.fromkeys(("Conv", "FusedConv", "ConvTranspose"), (1,)),
    **dict.fromkeys(("Gemm", "FusedGemm", "MatMul"), (0, 1)),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), (1, 2)),
}
"""Operator -> inputs that are weights; biases, initial states and peepholes are none."""


def weights_of(proto: Any) -> dict[str, tuple[PrunedWeight, Any]]:
    """Name -> the weight and its TensorProto, an initializer or the value of a Constant.

    A tensor that something else uses, too, such as an embedding that is tied to the last layer, is none.
    """
    import onnx

    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    found: dict[str, tuple[PrunedWeight, Any]] = {}
    used_otherwise: set[str] = set()
    tensors: dict[str, Any] = {}
    for graph in _graphs(proto.graph):
        tensors |= {tensor.name: tensor for tensor in graph.initializer}
        tensors |= dict(_constants(graph))
        used_otherwise |= {output.name for output in graph.output}
    nodes = [node for graph in _graphs(proto.graph) for node in graph.node]
    for number, node in enumerate(nodes):
        slots = _SLOTS.get(node.op_type, ())
        for slot, name in enumerate(node.input):
            tensor = tensors.get(name)
            if tensor is None:
                continue
            weight = None
            if slot in slots and tensor.data_type in floats and len(tensor.dims) >= 2:
                layer = node.name or f"{node.op_type}_{number}"
                weight = _weight(name, node, slot, tuple(tensor.dims), layer)
            if weight is None:
                used_otherwise.add(name)
            else:
                found.setdefault(name, (weight, tensor))
    return {name: pair for name, pair in found.items() if name not in used_otherwise}


def _weight(name: str, node: Any, slot: int, shape: tuple[int, ...], layer: str) -> PrunedWeight:
    rank, attributes = len(shape), {attribute.name: attribute for attribute in node.attribute}
    depthwise = False
    if node.op_type in ("Conv", "FusedConv"):
        outputs: tuple[int, ...] = (0,)
        inputs: tuple[int, ...] = (*range(2, rank), 1)
        depthwise = shape[1] == 1 and "group" in attributes and attributes["group"].i > 1
    elif node.op_type == "ConvTranspose":
        outputs, inputs = (1,), (*range(2, rank), 0)
    elif node.op_type in ("LSTM", "GRU", "RNN"):
        outputs, inputs = (0, 1), (2,)
    else:
        flag = "transA" if slot == 0 else "transB"
        turned = flag in attributes and bool(attributes[flag].i)
        # The axis that is summed over: the last one of the left side, the last but one of the right.
        summed = rank - 1 if (slot == 0) != turned else rank - 2
        inputs = (summed,)
        outputs = tuple(axis for axis in range(rank) if axis != summed)
    return PrunedWeight(name, layer, node.op_type, shape, outputs, inputs, depthwise)


def _graphs(graph: Any) -> Iterator[Any]:
    """The graph and those of its branches and loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _graphs(inner)


def _constants(graph: Any) -> Iterator[tuple[str, Any]]:
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield node.output[0], attribute.t
