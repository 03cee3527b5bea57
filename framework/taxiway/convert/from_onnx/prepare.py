"""Turns an ONNX file into the plainest graph that computes the same, which onnx2tf gets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from taxiway.convert.from_onnx.names import Renamed, rename
from taxiway.convert.from_onnx.refuse import refuse_ends, refuse_operators
from taxiway.convert.preflight_onnx_tflite import EXPANDED
from taxiway.convert.repairs import apply_repairs
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.plugins.context import Noted


@dataclass(frozen=True)
class Prepared:
    """A graph for onnx2tf.

    proto: an onnx.ModelProto without functions, subgraphs and constant parts, its shapes inferred.
    renamed: what its nodes and tensors were called.
    """

    proto: Any
    renamed: Renamed


def prepare(model: Model, note: Noted) -> Prepared:
    """Load, refuse, repair and fold `model` (format onnx).

    Raises StepError that names the tensors or operators that have no way to TensorFlow.
    """
    import onnx
    import onnx.inliner

    name = model.path.name
    try:
        proto = onnx.load(str(model.path))
    except Exception as error:
        raise StepError(f"{name} is no readable ONNX model: {error}") from error
    refuse_ends(proto, name)
    if proto.functions:
        proto = onnx.inliner.inline_local_functions(proto)
    _drop_constants_from_inputs(proto.graph)
    before = {node.op_type for node in proto.graph.node}
    apply_repairs(proto, "before onnx2tf", note)
    proto = _folded(proto, name)
    expanded = tuple(sorted((before & EXPANDED) - {node.op_type for node in proto.graph.node}))
    apply_repairs(proto, "before onnx2tf", note)
    refuse_operators(proto, name, expanded)
    renamed = rename(proto.graph, expanded)
    return Prepared(with_shapes(proto), renamed)


def with_shapes(proto: Any) -> Any:
    """`proto` with the shapes that ONNX's own inference finds."""
    import onnx

    try:
        return onnx.shape_inference.infer_shapes(proto, data_prop=True)
    except Exception:
        return proto


def _drop_constants_from_inputs(graph: Any) -> None:
    """Before IR version 4 an initializer had to be an input, too."""
    constants = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(kept)


def _folded(proto: Any, name: str) -> Any:
    """What ONNX Runtime makes of it at its basic level: constants folded, what depends on no input
    computed, a constant condition's branch taken, dead nodes dropped. Still standard ONNX
    (https://onnxruntime.ai/docs/performance/model-optimizations/graph-optimizations.html)."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(
                proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise StepError(f"ONNX Runtime cannot load {name}: {error}") from error
        return onnx.load(str(path))
