"""Half precision: a model of half the size that still takes and gives float32."""

from __future__ import annotations

from taxiway.optimize.quantize.quantizing import Quantizing, QuantizingConfig


class Float16Config(QuantizingConfig, frozen=True):
    """Options of half precision."""


class Float16(Quantizing):
    """Stores weights as IEEE 754 binary16.

    TFLite: a CPU computes in float32 from them, a GPU delegate in float16. ONNX: the graph
    computes in float16, between casts at its inputs and outputs.
    """

    Config = Float16Config
    establishes = frozenset({"float16"})
    instead = "it halves the file; on a CPU quantize_static or quantize_dynamic bring time"
    implementations = {
        "tflite": "taxiway.optimize.quantize.tflite.float16:TFLiteFloat16",
        "onnx": "taxiway.optimize.quantize.onnx.float16:OnnxFloat16",
    }
