"""Static int8 quantization of an ONNX model with ONNX Runtime, as QDQ pairs."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from math import gcd
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.quantize.calibration import Feeds
from taxiway.optimize.quantize.static import QuantizeStatic
from taxiway.plugins import Context

HELD = 16
"""Feeds whose activations a histogram method may hold at once."""


class OnnxStatic(QuantizeStatic):
    """Integer types are those the CPU computes exactly: see `taxiway.optimize.quantize.cpu`."""

    libraries = ("onnxruntime", "onnx")
    machine_dependent = True

    def check(self, options: Any) -> None:
        if options.io_dtype == "int8":
            raise ValueError("io_dtype 'int8' works on tflite only; onnx takes and gives float32")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import onnx
        from onnxruntime import quantization as ort

        from taxiway.optimize.quantize.cpu import this_cpu
        from taxiway.optimize.quantize.granularity import granularity_of
        from taxiway.optimize.quantize.onnx.graph import checked, count_ops, prepared

        types = this_cpu()
        selection = self.reads(options)[0]
        reader = _Reader(Feeds(model, selection, context))
        methods = ort.CalibrationMethod
        # The histogram methods print to stdout.
        with prepared(model) as path, redirect_stdout(sys.stderr):
            result = path.with_name("quantized.onnx")
            try:
                ort.quantize_static(
                    path,
                    result,
                    reader,
                    quant_format=ort.QuantFormat.QDQ,
                    per_channel=granularity_of(options.granularity, model) == "per_channel",
                    activation_type=ort.QuantType[types.activation],
                    weight_type=ort.QuantType[types.weight],
                    reduce_range=types.reduce_range,
                    calibrate_method={
                        "minmax": methods.MinMax,
                        "entropy": methods.Entropy,
                        "percentile": methods.Percentile,
                    }[options.calibration.method],
                    extra_options={"CalibStridedMinMax": gcd(len(reader), HELD)},
                )
            except StepError:
                raise
            except Exception as error:
                raise StepError(
                    f"ONNX Runtime cannot quantize {model.path.name}: {error}"
                ) from error
            return checked(model, onnx.load(result), count_ops("QuantizeLinear"), context)


class _Reader:
    """ONNX Runtime's CalibrationDataReader over a stream: a range is read when it is set."""

    def __init__(self, feeds: Feeds) -> None:
        self._length, self._stream, self._left = len(feeds), iter(feeds), 0

    def __len__(self) -> int:
        return self._length

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left = end_index - start_index

    def get_next(self) -> Any:
        self._left -= 1
        return next(self._stream, None) if self._left >= 0 else None
