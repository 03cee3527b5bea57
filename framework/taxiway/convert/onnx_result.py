"""What tf2onnx leaves to do: known repairs, stable names, and the proof that the file is ONNX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taxiway.convert.onnx_names import make_canonical, subgraphs
from taxiway.convert.result import converted
from taxiway.errors import StepError
from taxiway.model import Model


def write_onnx(proto: Any, source: Model, path: Path) -> Model:
    """Repair, check and save `proto` at `path`; the result is held against `source`.

    Raises StepError that names the ops ONNX does not define, or what onnx.checker found.
    """
    import onnx

    repair_erfc(proto.graph)
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
        raise StepError(f"the converter wrote an invalid model: {error}") from error
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


def repair_erfc(graph: Any) -> None:
    """Replace each `Erfc(x)`, which tf2onnx passes through though ONNX has no such op, by
    `1 - Erf(x)` in the dtype that the graph notes for it, else float32. Subgraphs, too."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    noted = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        for child in subgraphs(node):
            repair_erfc(child)
        if node.op_type != "Erfc":
            graph.node.append(node)
            continue
        (x,), (y,) = node.input, node.output
        dtype = noted.get(y) or noted.get(x) or TensorProto.FLOAT
        one = np.ones((), helper.tensor_dtype_to_np_dtype(dtype))
        graph.initializer.append(numpy_helper.from_array(one, f"{y}__one"))
        graph.node.append(helper.make_node("Erf", [x], [f"{y}__erf"]))
        graph.node.append(helper.make_node("Sub", [f"{y}__one", f"{y}__erf"], [y]))


def _name_free_axes(graph: Any) -> None:
    """Call a free first axis `batch` and any other `dim_N`, where tf2onnx counts `unk__N`."""
    for value in (*graph.input, *graph.output):
        for position, axis in enumerate(value.type.tensor_type.shape.dim):
            if not axis.HasField("dim_value") and (axis.dim_param or "unk__").startswith("unk__"):
                axis.dim_param = f"dim_{position}" if position else "batch"


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for child in subgraphs(node):
            yield from _nodes(child)


def _opset(proto: Any) -> int:
    return next((e.version for e in proto.opset_import if e.domain in ("", "ai.onnx")), 1)
