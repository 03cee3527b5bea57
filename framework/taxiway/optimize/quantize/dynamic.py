"""Dynamic quantization: int8 weights; activations are quantized while the model runs."""

from __future__ import annotations

from taxiway.optimize.quantize.granularity import GranularityOption
from taxiway.optimize.quantize.quantizing import Quantizing, QuantizingConfig


class QuantizeDynamicConfig(QuantizingConfig, frozen=True):
    """Options of dynamic quantization."""

    granularity: GranularityOption = None


class QuantizeDynamic(Quantizing):
    """Quantizes weights to 8 bits and needs no calibration: for transformers and dense layers.

    TFLite: AI Edge Quantizer. ONNX: ONNX Runtime; convolutions stay float there, for ConvInteger
    runs several times slower than a float convolution.
    """

    Config = QuantizeDynamicConfig
    instead = "convolutions gain from quantize_static"
    implementations = {
        "tflite": "taxiway.optimize.quantize.tflite.dynamic:TFLiteDynamic",
        "onnx": "taxiway.optimize.quantize.onnx.dynamic:OnnxDynamic",
    }
