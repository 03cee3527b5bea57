"""Where the weights of an ONNX operator are, and which of their axes are its inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """One constant of a node.

    index: of the node's input. output: the axis of output channels. input: the axis that the operator
    sums over, where blocks of it may share a scale; None where a weight has several.
    """

    index: int
    output: int
    input: int | None = None


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
    if node.op_type == "MatMul":
        ranks = [len(weights[name].dims) if name in weights else 0 for name in node.input]
        return [Place(0, ranks[0] - 2, ranks[0] - 1), Place(1, ranks[1] - 1, ranks[1] - 2)]
    if node.op_type == "Gemm":
        return [Place(1, 0, 1) if attributes.get("transB") else Place(1, 1, 0)]
    if node.op_type == "Conv":
        return [Place(1, 0)]
    if node.op_type == "ConvTranspose":
        return [Place(1, 1)]
    if node.op_type in ("LSTM", "GRU", "RNN"):
        return [Place(1, 1, 2), Place(2, 1, 2)]
    if node.op_type == "Gather" and not attributes.get("axis"):
        return [Place(0, 0, 1)] if len(_dims(node.input[0], weights)) == 2 else []
    return []


def _dims(name: str, weights: Mapping[str, Any]) -> list[int]:
    return list(weights[name].dims) if name in weights else []
