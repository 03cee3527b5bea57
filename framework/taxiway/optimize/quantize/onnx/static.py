"""Static int8 quantization of an ONNX model with ONNX Runtime, as QDQ pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taxiway.model import Model
from taxiway.optimize.operators import Operator, Precision
from taxiway.optimize.quantize.onnx import graph as graphs
from taxiway.optimize.quantize.onnx.qdq import PairWriter
from taxiway.optimize.quantize.onnx.written import checked
from taxiway.optimize.quantize.static import QuantizeStatic
from taxiway.plugins import Context


class OnnxStatic(QuantizeStatic):
    """Integer types are those the CPU computes exactly: see `taxiway.optimize.quantize.cpu`."""

    libraries = ("onnxruntime", "onnx")
    machine_dependent = True

    def __init__(self) -> None:
        self._writer = PairWriter()

    def check(self, options: Any) -> None:
        if options.io_dtype == "int8":
            raise ValueError("io_dtype 'int8' works on tflite only; onnx takes and gives float32")
        if options.symmetric and options.integers not in (None, "s8s8"):
            raise ValueError(
                f"symmetric needs signed activations, integers s8s8; found {options.integers}"
            )

    def operators(self, model: Model, options: Any) -> Sequence[Operator]:
        return self._writer.named(model, options, "quantize_static quantizes")

    def quantize(
        self, model: Model, options: Any, kept: Mapping[str, Precision], context: Context
    ) -> Model:
        from taxiway.optimize.quantize.cpu import this_cpu, types_for
        from taxiway.optimize.quantize.granularity import granularity_of
        from taxiway.optimize.quantize.onnx.qdq import Encoding

        wanted = "s8s8" if options.symmetric else options.integers
        types = types_for(wanted, this_cpu())
        encoding = Encoding(
            types.activation,
            types.weight,
            per_channel=granularity_of(options.granularity, model) == "per_channel",
            reduce_range=types.reduce_range,
            symmetric=options.symmetric,
        )
        proto = self._writer.quantized(
            model, encoding, options.calibration, self.reads(options)[0], kept, context
        )
        return checked(model, proto, graphs.count_ops("QuantizeLinear"), context)
