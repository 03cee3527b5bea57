"""An operator that onnx2tf lacks, and that ONNX defines by others, becomes those others."""

from __future__ import annotations

from typing import Any

from taxiway.convert.from_onnx.converters import converted_ops
from taxiway.convert.from_onnx.lowerings import lowering
from taxiway.convert.repairs.repair import Repair
from taxiway.model.onnx_graph import subgraphs


def applies(model: Any) -> int:
    wanted = _expandable(model)
    return _count(model.graph, wanted)


def apply(model: Any) -> int:
    """By the body in ONNX's own operator schemas, at the operator set that the model imports; what
    that body calls is expanded, too."""
    import onnx
    import onnx.inliner

    count = 0
    while wanted := _expandable(model):
        names = sorted(("", name) for name in wanted)
        try:
            expanded = onnx.inliner.inline_selected_functions(
                onnx.shape_inference.infer_shapes(model),
                names,
                exclude=False,
                inline_schema_functions=True,
            )
        except Exception:
            # The inliner insists on types that inference does not find in every graph.
            break
        if _count(expanded.graph, wanted) == _count(model.graph, wanted):
            break
        count += _count(model.graph, wanted) if not count else 0
        model.CopyFrom(expanded)
    return count


def _count(graph: Any, wanted: set[str]) -> int:
    return sum(
        (node.op_type in wanted and node.domain in ("", "ai.onnx"))
        + sum(_count(child, wanted) for child in subgraphs(node))
        for node in graph.node
    )


def _expandable(model: Any) -> set[str]:
    import onnx

    version = next((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), 1)
    missing = {node.op_type for node in model.graph.node} - converted_ops()
    found = set()
    for name in missing:
        if lowering("", name):
            continue
        try:
            schema = onnx.defs.get_schema(name, version, "")
        except onnx.defs.SchemaError:
            continue
        if schema.has_function or schema.has_context_dependent_function:
            found.add(name)
    return found


REPAIR = Repair(
    name="expand_function",
    stage="before onnx2tf",
    about="onnx2tf has no converter for the operator (such as GroupNormalization, Attention or "
    "Swish); ONNX defines it as a function of others, and that takes its place.",
    source="https://onnx.ai/onnx/operators/ (function body of the operator); "
    "https://onnx.ai/onnx/api/inliner.html",
    applies=applies,
    apply=apply,
)
