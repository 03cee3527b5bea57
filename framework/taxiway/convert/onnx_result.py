"""What tf2onnx leaves to do: known repairs, stable names, the recipe's options, and the proof that
the file is ONNX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from taxiway.convert.dims import resized
from taxiway.convert.freed import insists, prove_sizes
from taxiway.convert.onnx import DEFAULT_OPSET, OnnxConfig
from taxiway.convert.onnx_ends import forget_output_sizes, set_output_shapes, shape_ends
from taxiway.convert.onnx_names import make_canonical
from taxiway.convert.onnx_opset import opset_of, with_opset
from taxiway.convert.repairs import apply_repairs
from taxiway.convert.result import converted
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import UNKNOWN_RANK
from taxiway.model.onnx_file import check_file, check_structure, write_beside, write_graph
from taxiway.model.onnx_graph import subgraphs
from taxiway.plugins.context import Noted, unheard

TF2ONNX_OPSETS = range(13, 19)
"""What tf2onnx 1.17 writes of those that Taxiway offers."""


def writable_opset(options: OnnxConfig) -> int:
    """The opset for tf2onnx: the nearest to what is wanted, from which it is converted further."""
    wanted = options.opset or DEFAULT_OPSET
    return min(max(wanted, TF2ONNX_OPSETS[0]), TF2ONNX_OPSETS[-1])


def write_onnx(
    proto: Any,
    source: Model,
    path: Path,
    options: OnnxConfig | None = None,
    note: Noted = unheard,
) -> Model:
    """Repair, check and save `proto` at `path`, as `options` want it; the result is held against
    `source`.

    Raises StepError that names the ops ONNX does not define, or what onnx.checker found.
    """
    apply_repairs(proto, "after tf2onnx", note)
    unknown = unknown_ops(proto)
    if unknown:
        raise StepError(
            f"ONNX opset {opset_of(proto)} has no op: {', '.join(unknown)}",
            "convert the model that the TFLite file was made from"
            if source.format == "tflite"
            else "raise convert.opset, or rewrite the layers that use them",
        )
    _name_free_axes(proto.graph)
    make_canonical(proto.graph)
    proto.graph.name = "model"
    proto.graph.doc_string = proto.doc_string = ""
    options = options or OnnxConfig()
    proto = with_opset(proto, options.opset or opset_of(proto))
    return finish(proto, source, options, path.parent)


def finish(proto: Any, source: Model, options: OnnxConfig, folder: Path) -> Model:
    """Give the graph `proto` of `source` the ends that `options` want, and write and check it.

    Weights that `source` keeps in other files are copied. Raises StepError where a size, an axis or
    a dtype cannot be changed, or for what onnx.checker found.
    """
    wanted = shape_ends(proto, source, options)
    changes = resized(source.signature, options.sizes)
    if changes:
        forget_output_sizes(proto.graph)
    path = (
        write_beside(proto, source.path, folder)
        if source.format == "onnx"
        else write_graph(proto, folder / "model.onnx")
    )
    # What ONNX cannot infer of a foreign graph, it could not before either.
    check = check_structure if source.format == "onnx" else check_file
    check(path)
    if not changes:
        return converted(wanted, path, "onnx")
    try:
        result = converted(_with_outputs(wanted, wanted, UNKNOWN_RANK), path, "onnx")
    except StepError as error:
        raise insists(changes, error) from error
    seen = prove_sizes(source, _with_outputs(result, wanted), changes)
    set_output_shapes(proto.graph, seen)
    write_graph(proto, path)
    proven = replace(wanted, signature=replace(wanted.signature, outputs=seen))
    return converted(proven, path, "onnx")


def _with_outputs(model: Model, other: Model, shape: tuple[str, ...] | None = None) -> Model:
    """The model with `shape` at all its outputs, or with the shapes that `other` has."""
    outputs = tuple(
        replace(spec, shape=shape or wanted.shape)
        for spec, wanted in zip(model.signature.outputs, other.signature.outputs, strict=True)
    )
    return replace(model, signature=replace(model.signature, outputs=outputs))


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
            if not axis.HasField("dim_value") and (axis.dim_param or "unk__").startswith("unk__"):
                axis.dim_param = f"dim_{position}" if position else "batch"


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for child in subgraphs(node):
            yield from _nodes(child)
