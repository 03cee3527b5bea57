"""AI Edge Quantizer over a whole .tflite: what it needs before, and what it changed after."""

from __future__ import annotations

from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.result import optimized
from taxiway.plugins import Context

GRANULARITY = {"per_channel": "CHANNELWISE", "per_tensor": "TENSORWISE"}


def float_content(model: Model) -> bytes:
    """The .tflite of `model`, ready to be quantized.

    One without a signature, as old converters wrote it, gets one over its first graph with the
    names of its tensors, for the quantizer calibrates signatures only. Raises StepError where
    weights are int8 already: quantizing the rest gives files that LiteRT cannot run.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    content = model.path.read_bytes()
    parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    if weights_in(parsed, "INT8"):
        raise StepError(
            f"{model.path.name} is quantized already: it has int8 weights",
            "drop the pass, or start from a float model",
        )
    if parsed.signatureDefs:
        return content
    graph = parsed.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    signature.inputs, signature.outputs = [], []
    for indices, entries in ((graph.inputs, signature.inputs), (graph.outputs, signature.outputs)):
        for index in indices:
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = graph.tensors[index].name, index
            entries.append(entry)
    parsed.signatureDefs = [signature]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(parsed))


def write_quantized(
    quantizer: Any, ranges: Any, model: Model, dtype: str, context: Context
) -> Model:
    """Apply the recipe in `quantizer` (an ai_edge_quantizer Quantizer), save and check the result.

    ranges: minimum and maximum by tensor, from calibration, or None.
    dtype: the element type, as the TFLite schema names it, that weights must now be stored in.
    Raises StepError where no weight is stored in it that was not before.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    try:
        content = quantizer.quantize(ranges, enable_progress_report=False).quantized_model
    except Exception as error:
        raise refusal(model, error) from error
    before = flatbuffer_utils.read_model_from_bytearray(bytearray(model.path.read_bytes()))
    after = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    if weights_in(after, dtype) <= weights_in(before, dtype):
        raise StepError(
            f"nothing was quantized: {model.path.name} has no operator with float weights that "
            f"AI Edge Quantizer can store as {dtype.lower()}",
            "drop the pass, or start from a float model",
        )
    if _free_outputs(before, after):
        content = flatbuffer_utils.convert_object_to_bytearray(after)
    path = context.workdir / "model.tflite"
    path.write_bytes(content)
    return optimized(model, path)


def refusal(model: Model, error: Exception) -> StepError:
    """The error for a model that the quantizer gave up on; loops, as in an LSTM, are one cause."""
    return StepError(
        f"AI Edge Quantizer cannot quantize {model.path.name}: {error}",
        "try optimize=[quantize_dynamic], or convert=onnx",
    )


def weights_in(model: Any, dtype: str) -> int:
    """How many constant tensors of a model (schema ModelT) have the element type `dtype`."""
    from ai_edge_litert import schema_py_generated as schema

    wanted = getattr(schema.TensorType, dtype)
    return sum(
        tensor.type == wanted and model.buffers[tensor.buffer].data is not None
        for graph in model.subgraphs
        for tensor in graph.tensors
    )


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
