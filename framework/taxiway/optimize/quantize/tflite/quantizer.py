"""AI Edge Quantizer over a whole .tflite: its weights before, and what it changed after."""

from __future__ import annotations

from collections import Counter
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.quantize.tflite.graph import FloatGraph
from taxiway.optimize.quantize.tflite.ranges import Ranges
from taxiway.optimize.result import optimized
from taxiway.plugins import Context


def quantized(quantizer: Any, ranges: Ranges | None, model: Model) -> bytes:
    """The content of `model` after the recipe in `quantizer`, an ai_edge_quantizer Quantizer.

    Raises StepError where the quantizer gives up.
    """
    import warnings
    from contextlib import redirect_stderr
    from io import StringIO

    try:
        # Its bars of progress go to stderr, and it warns of an interpreter that keeps every tensor, which
        # it opens only to read their names.
        with redirect_stderr(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return bytes(quantizer.quantize(ranges, enable_progress_report=False).quantized_model)
    except Exception as error:
        raise StepError(
            f"AI Edge Quantizer cannot quantize {model.path.name}: {error}",
            "try optimize=[quantize_dynamic], or convert=onnx",
        ) from error


def save(content: bytes, graph: FloatGraph, model: Model, dtype: str, context: Context) -> Model:
    """The model in `context.workdir`, held against the one it came from.

    dtype: the element type, as the TFLite schema names it, that tensors must now be stored in.
    Raises StepError where no tensor is, and as `optimized` does.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    after = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    if not _holds(after, dtype):
        raise StepError(
            f"AI Edge Quantizer stored nothing of {model.path.name} as {dtype.lower()}",
            "drop the pass, or convert=onnx",
        )
    changed = [_free_outputs(graph.parsed, after), _renew_signatures(graph.parsed, after)]
    if any(changed):
        content = bytes(flatbuffer_utils.convert_object_to_bytearray(after))
    path = context.workdir / "model.tflite"
    path.write_bytes(content)
    return optimized(model, path)


def tell_floats(model: Model, context: Context) -> None:
    """Tell which operators of an integer model still give float32: type -> how many. There are some where
    the quantizer does not know an operator, or where it was kept; an integer-only target cannot run them."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(model.path.read_bytes()))
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    found = Counter(
        names[parsed.operatorCodes[operator.opcodeIndex].builtinCode]
        for graph in parsed.subgraphs
        for operator in graph.operators
        if any(graph.tensors[i].type == schema.TensorType.FLOAT32 for i in operator.outputs)
    )
    del found["DEQUANTIZE"]
    if found:
        context.tell("float32 operators", dict(found))


def _holds(model: Any, dtype: str) -> bool:
    """Whether a tensor of a model (schema ModelT) has the element type."""
    from ai_edge_litert import schema_py_generated as schema

    wanted = getattr(schema.TensorType, dtype)
    return any(tensor.type == wanted for graph in model.subgraphs for tensor in graph.tensors)


def _free_outputs(before: Any, after: Any) -> bool:
    """Give an output that the quantizer put a tensor in front of its free axes back, which it
    leaves out; whether there was one."""
    found = False
    for old, new in zip(before.subgraphs, after.subgraphs, strict=True):
        for source, target in zip(old.outputs, new.outputs, strict=True):
            free = old.tensors[source].shapeSignature
            if free is not None and new.tensors[target].shapeSignature is None:
                new.tensors[target].shapeSignature = free
                found = True
    return found


def _renew_signatures(before: Any, after: Any) -> bool:
    """Let the signatures name the graphs' own inputs and outputs, which the quantizer may leave at the
    tensor before the one that it added; whether one did not."""
    found = False
    for old, new in zip(before.signatureDefs, after.signatureDefs, strict=True):
        graph, result = before.subgraphs[old.subgraphIndex], after.subgraphs[new.subgraphIndex]
        for ends, entries, others in (
            ((graph.inputs, result.inputs), old.inputs, new.inputs),
            ((graph.outputs, result.outputs), old.outputs, new.outputs),
        ):
            place = dict(zip(map(int, ends[0]), map(int, ends[1]), strict=True))
            names = {entry.name: place.get(entry.tensorIndex) for entry in entries}
            for entry in others:
                index = names.get(entry.name)
                if index is not None and index != entry.tensorIndex:
                    entry.tensorIndex, found = index, True
    return found
