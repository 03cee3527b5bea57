"""What tf2onnx leaves to do: known repairs, stable names, and the proof that the file is ONNX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taxiway.convert.onnx_names import make_canonical, subgraphs
from taxiway.convert.repairs import apply_repairs
from taxiway.convert.result import converted
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.plugins.step import Noted, unheard


def write_onnx(proto: Any, source: Model, path: Path, note: Noted = unheard) -> Model:
    """Repair, check and save `proto` at `path`; the result is held against `source`.

    Raises StepError that names the ops ONNX does not define, or what onnx.checker found.
    """
    import onnx

    apply_repairs(proto, "after tf2onnx", note)
    unknown = unknown_ops(proto)
    if unknown:
        raise StepError(
            f"ONNX opset {_opset(proto)} has no op: {', '.join(unknown)}",
            "convert the model that the TFLite file was made from"
            if source.format == "tflite"
            else "raise convert.opset, or rewrite the layers that use them",
        )
    _name_free_axes(proto.graph)
    make_canonical(proto.graph)
    proto.graph.name = "model"
    proto.graph.doc_string = proto.doc_string = ""
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise StepError(f"tf2onnx wrote an invalid model: {error}") from error
    path.write_bytes(proto.SerializeToString(deterministic=True))
    return converted(source, path, "onnx")


def unknown_ops(proto: Any) -> list[str]:
    """Ops of `proto` that its operator sets do not define, as `Op (n nodes)`, sorted."""
    import onnx

    versions = {entry.domain: entry.version for entry in proto.opset_import}
    missing: Counter[str] = Counter()
    for node in _nodes(proto.graph):
        domain = "" if node.domain == "ai.onnx" else node.domain
        try:
            onnx.defs.get_schema(node.op_type, versions.get(domain, 1), domain)
        except onnx.defs.SchemaError:
            missing[node.op_type] += 1
    return [f"{op} ({count} nodes)" for op, count in sorted(missing.items())]


def _name_free_axes(graph: Any) -> None:
    """Call a free first axis `batch` and any other `dim_N`, where tf2onnx counts `unk__N`."""
    for value in (*graph.input, *graph.output):
        for position, axis in enumerate(value.type.tensor_type.shape.dim):
            if not axis.HasField("dim_value"):
                axis.dim_param = f"dim_{position}" if position else "batch"


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for child in subgraphs(node):
            yield from _nodes(child)


def _opset(proto: Any) -> int:
    return next((e.version for e in proto.opset_import if e.domain in ("", "ai.onnx")), 1)
