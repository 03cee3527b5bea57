"""The end of a pass over ONNX: the graph in order, without what the tools left, and proved valid."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.quantize.onnx.graph import bodies, captured, captured_by
from taxiway.optimize.result import optimized
from taxiway.plugins import Context


def checked(model: Model, proto: Any, evidence: Callable[[Any], int], context: Context) -> Model:
    """Save `proto` and hold it against `model`.

    evidence: counts in a ModelProto what shows that the pass did something. Raises StepError where
    there is no more of it than before, or where the result is no valid ONNX.
    """
    from taxiway.model.onnx_file import check_file, load_graph, write_graph

    before = load_graph(model.path)
    if evidence(proto) <= evidence(before):
        inside = any(bodies(before.graph))
        raise StepError(
            f"nothing was quantized: {model.path.name} has no float operator that ONNX Runtime "
            "changes" + (", but in bodies of If, Loop or Scan, which stay float" if inside else ""),
            "drop the pass, or start from a float model",
        )
    _sort(proto.graph)
    _tidy(proto, before)
    _merge_equal(proto.graph)
    path = write_graph(proto, context.workdir / "model.onnx")
    check_file(path)
    return optimized(model, path)


def _sort(graph: Any) -> None:
    """Put nodes behind those that they read, values that their bodies read included: the quantizers
    append nodes, and do not look into bodies."""
    left = {output for node in graph.node for output in node.output if output}
    waiting = [
        (node, {*node.input, *captured_by([node])} & left - set(node.output)) for node in graph.node
    ]
    nodes: list[Any] = []
    while waiting:
        later = []
        for node, needs in waiting:
            if needs.isdisjoint(left):
                nodes.append(node)
                left.difference_update(node.output)
            else:
                later.append((node, needs))
        if len(later) == len(waiting):
            nodes += [node for node, _ in later]
            break
        waiting = later
    del graph.node[:]
    graph.node.extend(nodes)


def _tidy(proto: Any, before: Any) -> None:
    """Drop what the tools left: shapes of inner values, which cost bytes and are found again, and
    their marks."""
    known = {value.name for value in before.graph.value_info}
    values = [value for value in proto.graph.value_info if value.name in known]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(values)
    keys = {entry.key for entry in before.metadata_props}
    entries = [entry for entry in proto.metadata_props if entry.key in keys]
    del proto.metadata_props[:]
    proto.metadata_props.extend(entries)


def _merge_equal(graph: Any) -> None:
    """Let nodes share constants of equal bytes: folding copies one that several nodes transpose, and
    many scales and zero points are the same."""
    fixed = captured(graph) | {value.name for value in (*graph.input, *graph.output)}
    first: dict[Any, str] = {}
    renamed: dict[str, str] = {}
    for tensor in graph.initializer:
        if tensor.name in fixed or not tensor.raw_data:
            continue
        key = (tensor.data_type, tuple(tensor.dims), sha256(tensor.raw_data).digest())
        if first.setdefault(key, tensor.name) != tensor.name:
            renamed[tensor.name] = first[key]
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
    kept = [tensor for tensor in graph.initializer if tensor.name not in renamed]
    del graph.initializer[:]
    graph.initializer.extend(kept)
