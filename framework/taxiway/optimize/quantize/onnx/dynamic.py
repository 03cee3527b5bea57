"""Dynamic int8 quantization of an ONNX model with ONNX Runtime."""

from __future__ import annotations

from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.quantize.dynamic import QuantizeDynamic
from taxiway.plugins import Context

OPS = ("Attention", "EmbedLayerNormalization", "Gather", "LSTM", "MatMul")
"""What is quantized: ONNX Runtime's own list but for Conv."""
RESULTS = ("MatMulInteger", "DynamicQuantizeLSTM", "QAttention", "DequantizeLinear")


class OnnxDynamic(QuantizeDynamic):
    libraries = ("onnxruntime", "onnx")
    machine_dependent = True

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import onnx
        from onnxruntime import quantization as ort

        from taxiway.optimize.quantize.cpu import this_cpu
        from taxiway.optimize.quantize.granularity import granularity_of
        from taxiway.optimize.quantize.onnx.graph import checked, count_ops, prepared

        with prepared(model) as path:
            result = path.with_name("quantized.onnx")
            try:
                ort.quantize_dynamic(
                    path,
                    result,
                    op_types_to_quantize=list(OPS),
                    per_channel=granularity_of(options.granularity, model) == "per_channel",
                    reduce_range=this_cpu().reduce_range,
                    weight_type=ort.QuantType.QInt8,
                )
            except Exception as error:
                raise StepError(
                    f"ONNX Runtime cannot quantize {model.path.name}: {error}"
                ) from error
            return checked(model, onnx.load(result), count_ops(*RESULTS), context)
