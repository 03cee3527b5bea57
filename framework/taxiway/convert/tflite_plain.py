"""A TFLite file as tf2onnx reads it right: distinct tensor names, operator codes in both fields.

TFLite refers to tensors by number, so a file may give one name to several, and AI Edge Quantizer calls a
tensor `<name>_dequant`, as tf2onnx does with those it adds; tf2onnx goes by names. An operator's code is the
larger of its two fields (schema.fbs); tf2onnx takes the deprecated one, which AI Edge Quantizer leaves 0.
"""

from __future__ import annotations

from pathlib import Path

_LAST_DEPRECATED = 127
"""`PLACEHOLDER_FOR_GREATER_OP_CODES` of the schema: what stands in the old field for a newer code."""


def tensor_name(number: int, graph: int = 0) -> str:
    return f"t{graph}_{number}"


def write_plain(source: Path, target: Path) -> None:
    """Write the model at `source` to `target` with each tensor called `tensor_name` of its number.

    Signatures refer to tensors by number, and keep the names of inputs and outputs.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(source.read_bytes()))
    for code in model.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
        code.deprecatedBuiltinCode = min(code.builtinCode, _LAST_DEPRECATED)
    for at, graph in enumerate(model.subgraphs):
        for number, tensor in enumerate(graph.tensors):
            tensor.name = tensor_name(number, at).encode()
    target.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
