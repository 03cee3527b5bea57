"""TFLite -> ONNX: tf2onnx; an int8 model becomes QuantizeLinear/DequantizeLinear pairs.

An ONNX tensor carries no scale, so a quantized input or output of the TFLite file becomes a float32
one, with its quantization in the graph.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from taxiway.convert.onnx import OnnxConfig
from taxiway.convert.tflite_plain import tensor_name, write_plain
from taxiway.errors import StepError
from taxiway.model import Model, Signature
from taxiway.model.onnx_graph import rename
from taxiway.plugins import Context, Converter


class TFLiteToOnnx(Converter):
    """tf2onnx on a TFLite file; quantized tensors become float32 at the ends."""

    Config = OnnxConfig
    accepts = frozenset({"tflite"})
    produces = "onnx"
    libraries = ("tensorflow", "tf2onnx", "onnx", "ai-edge-litert")
    cost = 3.0

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import tf2onnx

        from taxiway.convert.onnx_result import writable_opset, write_onnx

        with TemporaryDirectory() as folder:
            plain = Path(folder) / "plain.tflite"
            write_plain(model.path, plain)
            try:
                opset = writable_opset(options)
                proto, _ = tf2onnx.convert.from_tflite(str(plain), opset=opset)
            except Exception as error:
                raise StepError(f"tf2onnx cannot convert {model.path.name}: {error}") from error
            real_valued_io(proto.graph, model)
        return write_onnx(proto, model, context.workdir / "model.onnx", options, context.note)


def real_valued_io(graph: Any, model: Model) -> None:
    """Give inputs and outputs the names of the TFLite signature, and float32 in place of integers
    with a scale. tf2onnx names them after the tensors behind the signature."""
    from ai_edge_litert.interpreter import Interpreter

    from taxiway.model.inspect import tflite_tensors

    inputs, outputs, _ = tflite_tensors(Interpreter(model_path=str(model.path)))
    for values, details, specs in (
        (graph.input, inputs, model.signature.inputs),
        (graph.output, outputs, model.signature.outputs),
    ):
        by_tensor = {value.name: value for value in values}
        ordered = []
        for spec in specs:
            tensor = tensor_name(details[spec.name]["index"])
            if tensor not in by_tensor:
                raise StepError(f"tf2onnx lost the tensor behind '{spec.name}'")
            rename(graph, tensor, f"{spec.name}__stored" if spec.quantized else spec.name)
            by_tensor[tensor].name = spec.name
            ordered.append(by_tensor[tensor])
        del values[:]
        values.extend(ordered)
    _move_quantization_inside(graph, model.signature)


def _move_quantization_inside(graph: Any, signature: Signature) -> None:
    """Put QuantizeLinear behind each quantized input and DequantizeLinear before each output."""
    import numpy as np
    import onnx

    for values, specs, op in (
        (graph.input, signature.inputs, "QuantizeLinear"),
        (graph.output, signature.outputs, "DequantizeLinear"),
    ):
        for value, spec in zip(values, specs, strict=True):
            if not spec.quantized:
                continue
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            parameters = [f"{spec.name}__scale", f"{spec.name}__zero_point"]
            scale = np.array(spec.scale, np.float32), np.array(spec.zero_point, spec.dtype)
            graph.initializer.extend(map(onnx.numpy_helper.from_array, scale, parameters))
            ends = [spec.name, f"{spec.name}__stored"]
            if op == "QuantizeLinear":
                node = onnx.helper.make_node(op, [ends[0], *parameters], [ends[1]], spec.name)
                graph.node.insert(0, node)
            else:
                node = onnx.helper.make_node(op, [ends[1], *parameters], [ends[0]], spec.name)
                graph.node.append(node)
