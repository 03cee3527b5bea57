"""Half precision: a model of half the size that still takes and gives float32."""

from __future__ import annotations

from taxiway.plugins import Config, Pass


class Float16Config(Config, frozen=True):
    """Conversion to float16 takes no options."""


class Float16(Pass):
    """Stores weights as IEEE 754 binary16.

    TFLite: a CPU computes in float32 from them, a GPU delegate in float16. ONNX: the graph
    computes in float16, between casts at its inputs and outputs.
    """

    Config = Float16Config
    implementations = {
        "tflite": "taxiway.optimize.tflite_float16:TFLiteFloat16",
        "onnx": "taxiway.optimize.onnx_float16:OnnxFloat16",
    }
