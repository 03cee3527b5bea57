"""Static int8 quantization of a .tflite with AI Edge Quantizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taxiway.model import Model
from taxiway.optimize.operators import Operator, Precision
from taxiway.optimize.quantize.static import QuantizeStatic
from taxiway.optimize.quantize.tflite.calibrated import Calibrated
from taxiway.plugins import Context


class TFLiteStatic(QuantizeStatic):
    """int8 by the TFLite 8-bit specification
    (https://ai.google.dev/edge/litert/models/quantization_spec)."""

    libraries = ("ai-edge-quantizer", "ai-edge-litert")

    def __init__(self) -> None:
        self._ranges = Calibrated()

    def check(self, options: Any) -> None:
        if options.integers is not None:
            raise ValueError(
                f"integers '{options.integers}' works on onnx only; tflite has int8 for both"
            )

    def operators(self, model: Model, options: Any) -> Sequence[Operator]:
        from taxiway.optimize.quantize.tflite.graph import FloatGraph
        from taxiway.optimize.quantize.tflite.recipe import changed_by

        return changed_by(FloatGraph(model), self._config(model, options))

    def quantize(
        self, model: Model, options: Any, kept: Mapping[str, Precision], context: Context
    ) -> Model:
        from taxiway.optimize.quantize.tflite.biases import weight_ranges
        from taxiway.optimize.quantize.tflite.graph import FloatGraph
        from taxiway.optimize.quantize.tflite.quantizer import quantized, save, tell_floats
        from taxiway.optimize.quantize.tflite.recipe import quantizer_of

        graph, config = FloatGraph(model), self._config(model, options)
        made = quantizer_of(graph, config, kept, float_ends=options.io_dtype == "float32")
        ranges = self._ranges.of(model, graph, kept, options.calibration, 8, context)
        ranges = {**ranges, **weight_ranges(graph, ranges, config)}
        result = save(quantized(made, ranges, model), graph, model, "INT8", context)
        tell_floats(result, context)
        return result

    def _config(self, model: Model, options: Any) -> Any:
        from taxiway.optimize.quantize.granularity import granularity_of
        from taxiway.optimize.quantize.tflite import recipe

        return recipe.integer_arithmetic(
            recipe.integers(8, recipe.GRANULARITY[granularity_of(options.granularity, model)]),
            recipe.integers(8, "TENSORWISE", options.symmetric),
        )
