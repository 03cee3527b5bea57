"""Where the weights of an ONNX operator are, and which of their axes are its inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """One constant of a node.

    index: of the node's input. output: the axis of output channels. dense: the weight is a matrix
    [input, output], or its transpose, on the right of a product: blocks along its input axis may share
    a scale, and ONNX Runtime multiplies its integers as they are.
    """

    index: int
    output: int
    dense: bool = False


def places(node: Any, weights: Mapping[str, Any]) -> list[Place]:
    """The float32 constants of a node that are worth fewer bits, by the operator's definition
    (https://onnx.ai/onnx/operators)."""
    from onnx import TensorProto

    if node.domain:
        return []
    found = []
    for place in _candidates(node, weights):
        tensor = weights.get(node.input[place.index]) if place.index < len(node.input) else None
        if tensor is not None and tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            found.append(place)
    return found


def _candidates(node: Any, weights: Mapping[str, Any]) -> list[Place]:
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    ranks = [len(weights[name].dims) if name in weights else 0 for name in node.input]
    match node.op_type:
        case "MatMul":
            return [Place(0, ranks[0] - 2), Place(1, ranks[1] - 1, dense=ranks[1] == 2)]
        case "Gemm":
            return [Place(1, 0 if attributes.get("transB") else 1, dense=True)]
        case "Conv":
            return [Place(1, 0)]
        case "ConvTranspose":
            return [Place(1, 1)]
        case "LSTM" | "GRU" | "RNN":
            return [Place(1, 1), Place(2, 1)]
        case "Gather" if not attributes.get("axis") and ranks[0] == 2:
            return [Place(0, 0)]
    return []
