"""16-bit activations over 8-bit weights in an ONNX model, as QDQ pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taxiway.model import Model
from taxiway.optimize.operators import Operator, Precision
from taxiway.optimize.quantize.int16 import QuantizeInt16
from taxiway.optimize.quantize.onnx import graph as graphs
from taxiway.optimize.quantize.onnx.qdq import Encoding, PairWriter
from taxiway.optimize.quantize.onnx.written import checked
from taxiway.plugins import Context


class OnnxInt16(QuantizeInt16):
    """The pairs are standard from opset 21, and of com.microsoft before.

    ONNX Runtime's CPU computes such a model in float between the pairs.
    """

    libraries = ("onnxruntime", "onnx")

    def __init__(self) -> None:
        self._writer = PairWriter()

    def check(self, options: Any) -> None:
        if options.io_dtype == "int16":
            raise ValueError("io_dtype 'int16' works on tflite only; onnx takes and gives float32")
        if options.calibration.method == "entropy":
            raise ValueError(
                "calibration.method 'entropy' needs more values than levels: 16 bits have 65,536; "
                "use minmax, percentile or distribution"
            )

    def operators(self, model: Model, options: Any) -> Sequence[Operator]:
        return self._writer.named(model, options, "quantize_int16 quantizes")

    def quantize(
        self, model: Model, options: Any, kept: Mapping[str, Precision], context: Context
    ) -> Model:
        from taxiway.optimize.quantize.granularity import granularity_of

        encoding = Encoding(
            "QInt16",
            "QInt8",
            per_channel=granularity_of(options.granularity, model) == "per_channel",
            symmetric=True,
            bits=16,
        )
        proto = self._writer.quantized(
            model, encoding, options.calibration, self.reads(options)[0], kept, context
        )
        return checked(model, proto, graphs.count_ops("QuantizeLinear"), context)
