"""Which operators ONNX Runtime computes in integers, and the values they need ranges of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taxiway.optimize.quantize.onnx import graph as graphs

COMPUTE = frozenset(
    (
        "Add",
        "ArgMax",
        "AveragePool",
        "Concat",
        "Conv",
        "ConvTranspose",
        "Gather",
        "Gemm",
        "GlobalAveragePool",
        "LeakyRelu",
        "MatMul",
        "Mul",
        "Resize",
        "Sigmoid",
        "Softmax",
        "Where",
    )
)
"""What ONNX Runtime's CPU computes in integers (onnxruntime: qdq_selectors.cc)."""
FOLLOW = frozenset(
    (
        "Clip",
        "Flatten",
        "MaxPool",
        "Pad",
        "Relu",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    )
)
"""What passes integers on where it gets them, with the scale that they have: no loss, no choice."""


def quantizable(node: Any, weights: Mapping[str, Any], floats: Mapping[str, int]) -> bool:
    """Whether a node computes on float32; a lookup only where its table is a constant."""
    from onnx import TensorProto

    data = 1 if node.op_type == "Where" else 0
    if node.op_type == "Gather" and node.input[0] not in weights:
        return False
    name = node.input[data]
    if name in weights:
        return bool(weights[name].data_type == TensorProto.FLOAT)
    return name in floats


def activations(proto: Any, nodes: Sequence[Any]) -> dict[str, str]:
    """Float values that `nodes` read and write, and are no constants -> the first such node."""
    floats, held = graphs.float_values(proto), {t.name for t in proto.graph.initializer}
    found: dict[str, str] = {}
    for node in nodes:
        for name in (*node.input, *node.output):
            if name in floats and name not in held:
                found.setdefault(name, node.name)
    return found
