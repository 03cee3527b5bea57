"""float16 weights in a .tflite with AI Edge Quantizer."""

from __future__ import annotations

from typing import Any

from taxiway.model import Model
from taxiway.optimize.quantize.float16 import Float16
from taxiway.plugins import Context


class TFLiteFloat16(Float16):
    libraries = ("ai-edge-quantizer", "ai-edge-litert")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from ai_edge_quantizer import qtyping, quantizer

        from taxiway.optimize.quantize.tflite.quantizer import write_quantized

        quantizer_ = quantizer.Quantizer(str(model.path))
        quantizer_.update_quantization_recipe(
            ".*",
            qtyping.TFLOperationName.ALL_SUPPORTED,
            qtyping.OpQuantizationConfig(
                weight_tensor_config=qtyping.TensorQuantizationConfig(
                    num_bits=16, dtype=qtyping.TensorDataType.FLOAT
                ),
                compute_precision=qtyping.ComputePrecision.FLOAT,
                explicit_dequantize=True,
            ),
            algorithm_key="float_casting",
        )
        return write_quantized(quantizer_, None, model, "FLOAT16", context)
