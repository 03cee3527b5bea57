"""Dynamic quantization: int8 weights; activations are quantized while the model runs."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from taxiway.plugins import Config, Pass


class QuantizeDynamicConfig(Config, frozen=True):
    """Options of dynamic quantization."""

    granularity: Annotated[
        Literal["per_channel", "per_tensor"],
        Meta(description="One scale per output channel of a weight, or one per weight."),
    ] = "per_channel"


class QuantizeDynamic(Pass):
    """Quantizes weights to 8 bits and needs no calibration: for transformers and dense layers.

    TFLite: AI Edge Quantizer. ONNX: ONNX Runtime; convolutions stay float there, for ConvInteger
    runs several times slower than a float convolution.
    """

    Config = QuantizeDynamicConfig
    implementations = {
        "tflite": "taxiway.optimize.tflite_dynamic:TFLiteDynamic",
        "onnx": "taxiway.optimize.onnx_dynamic:OnnxDynamic",
    }
