"""Dynamic int8 quantization of a .tflite with AI Edge Quantizer."""

from __future__ import annotations

from typing import Any

from taxiway.model import Model
from taxiway.optimize.quantize.dynamic import QuantizeDynamic
from taxiway.plugins import Context


class TFLiteDynamic(QuantizeDynamic):
    libraries = ("ai-edge-quantizer", "ai-edge-litert")

    def check(self, options: Any) -> None:
        # LiteRT 2.3 runs such convolutions, and gives NaN or other values on every run.
        if options.granularity == "per_tensor":
            raise ValueError("granularity 'per_tensor' works on onnx only; tflite has per_channel")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from ai_edge_quantizer import qtyping, quantizer

        from taxiway.optimize.quantize.tflite.quantizer import float_content, write_quantized

        quantizer_ = quantizer.Quantizer(float_content(model))
        quantizer_.add_dynamic_config(
            ".*",
            qtyping.TFLOperationName.ALL_SUPPORTED,
            num_bits=8,
        )
        return write_quantized(quantizer_, None, model, "INT8", context)
