"""Weight-only quantization: 8- or 4-bit weights that are read back to float before each operator."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from taxiway.optimize.quantize.quantizing import Quantizing, QuantizingConfig


class QuantizeWeightsConfig(QuantizingConfig, frozen=True):
    """Options of weight-only quantization."""

    bits: Annotated[Literal[8, 4], Meta(description="Bits of a weight.")] = 8
    block: Annotated[
        Literal[16, 32, 64, 128, 256] | None,
        Meta(
            description="Neighbours along the input axis that share a scale, for dense layers. null: "
            "one scale per output channel, and blocks of 32 where weights have 4 bits."
        ),
    ] = None
    symmetric: Annotated[bool, Meta(description="Weights have zero point 0.")] = True


class QuantizeWeights(Quantizing):
    """Makes the file smaller; activations and arithmetic stay float, so nothing is calibrated.

    TFLite: AI Edge Quantizer, explicit dequantization. ONNX: DequantizeLinear before the operator, and
    MatMulNBits for 4-bit dense layers.
    """

    Config = QuantizeWeightsConfig
    instead = "it makes the file smaller; quantize_dynamic or quantize_static bring time"
    implementations = {
        "tflite": "taxiway.optimize.quantize.tflite.weights:TFLiteWeights",
        "onnx": "taxiway.optimize.quantize.onnx.weights:OnnxWeights",
    }
