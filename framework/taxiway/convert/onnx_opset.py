"""From one ONNX opset to another, by ONNX's own version converter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from taxiway.convert.onnx import MAX_OPSET, MIN_OPSET
from taxiway.errors import StepError


def opset_of(proto: Any) -> int:
    """The version of ONNX's own operator set that a ModelProto imports."""
    return next((e.version for e in proto.opset_import if e.domain in ("", "ai.onnx")), 1)


def with_opset(proto: Any, opset: int) -> Any:
    """A ModelProto that computes the same with another opset.

    Model-local functions are inlined first, for the version converter drops them. External data
    stays where it is. Raises StepError that lists the opsets that are possible.
    """
    from onnx import inliner, version_converter

    if opset == opset_of(proto):
        return proto
    if _sparse(proto.graph):
        raise StepError(
            "the opset of a model with sparse initializers cannot be changed: the version converter "
            "drops them",
            f"convert.opset={opset_of(proto)} or null",
        )
    notes = {tuple(node.output): list(node.metadata_props) for node in proto.graph.node}
    graph_notes = list(proto.graph.metadata_props)
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    try:
        result = version_converter.convert_version(proto, opset)
    except Exception as error:
        possible = [v for v in range(MIN_OPSET, MAX_OPSET + 1) if _converts(proto, v)]
        raise StepError(
            f"opset {opset_of(proto)} cannot become {opset}: {_reason(error)}",
            f"possible here: convert.opset={_ranges(possible)}",
        ) from error
    for node in result.graph.node:
        if not node.metadata_props:
            node.metadata_props.extend(notes.get(tuple(node.output), ()))
    if not result.graph.metadata_props:
        result.graph.metadata_props.extend(graph_notes)
    return result


def _converts(proto: Any, opset: int) -> bool:
    from onnx import version_converter

    try:
        version_converter.convert_version(proto, opset)
    except Exception:
        return False
    return True


def _sparse(graph: Any) -> bool:
    from taxiway.model.onnx_graph import subgraphs

    return bool(graph.sparse_initializer) or any(
        _sparse(child) for node in graph.node for child in subgraphs(node)
    )


def _reason(error: Exception) -> str:
    """The version converter's words without the file and line of its source."""
    return str(error).rpartition("` failed: ")[2].strip() or str(error)


def _ranges(values: Iterable[int]) -> str:
    """`7 to 12, 14`."""
    spans: list[list[int]] = []
    for value in values:
        if spans and spans[-1][1] == value - 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    return ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in spans) or "none"
