"""What onnx2tf cannot take, said before it runs: one error with all the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from taxiway.convert.from_onnx.names import after
from taxiway.convert.preflight_onnx_tflite import CONTROL_FLOW, missing_ops
from taxiway.errors import StepError
from taxiway.model.onnx_graph import subgraphs

_DTYPES = frozenset(
    {
        *("FLOAT", "FLOAT16", "DOUBLE", "BOOL"),
        *("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"),
    }
)
_UNKNOWN = {
    "If": "whose condition is no constant",
    "Loop": "whose number of passes is not known",
}
_ELSEWHERE = "choose convert=onnx, which keeps these operators"


def refuse_ends(model: Any, name: str) -> None:
    """Raise StepError that names each input or output of no plain tensor type, or without a rank."""
    from onnx import TensorProto

    reasons = []
    constants = {tensor.name for tensor in model.graph.initializer}
    ends = [("input", v) for v in model.graph.input if v.name not in constants]
    if not ends:
        reasons.append("it has no input")
    for kind, value in [*ends, *(("output", v) for v in model.graph.output)]:
        what = value.type.WhichOneof("value")
        if what != "tensor_type":
            reasons.append(f"{kind} '{value.name}' is no tensor, but a {what or 'value'} of ONNX")
            continue
        dtype = TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        if dtype not in _DTYPES:
            reasons.append(f"{kind} '{value.name}' holds {dtype.lower()}")
        elif kind == "input" and not value.type.tensor_type.HasField("shape"):
            reasons.append(f"input '{value.name}' does not say how many axes it has")
    if reasons:
        raise StepError(f"{name} cannot become TensorFlow: {'; '.join(reasons)}", _ELSEWHERE)


def refuse_operators(model: Any, name: str, expanded: Sequence[str] = ()) -> None:
    """Raise StepError that names the operators which onnx2tf has no converter for, and control flow
    that does not depend on constants alone. expanded: what they may come from."""
    counts = Counter(
        ("" if node.domain == "ai.onnx" else node.domain, node.op_type)
        for node in _nodes(model.graph)
    )
    missing = missing_ops(counts)
    flow = sorted(op for domain, op in counts if not domain and op in CONTROL_FLOW)
    missing += [f"{op} ({counts['', op]} nodes), {_UNKNOWN[op]}" for op in flow if op in _UNKNOWN]
    if missing:
        raise StepError(
            f"{name} cannot become TensorFlow: no converter for {', '.join(missing)}{after(expanded)}",
            _ELSEWHERE,
        )


def _nodes(graph: Any) -> list[Any]:
    found = []
    for node in graph.node:
        found.append(node)
        for child in subgraphs(node):
            found += _nodes(child)
    return found
