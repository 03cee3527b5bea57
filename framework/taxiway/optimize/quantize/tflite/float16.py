"""float16 weights in a .tflite with AI Edge Quantizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taxiway.model import Model
from taxiway.optimize.operators import Operator, Precision
from taxiway.optimize.quantize.float16 import Float16
from taxiway.plugins import Context


class TFLiteFloat16(Float16):
    libraries = ("ai-edge-quantizer", "ai-edge-litert")

    def operators(self, model: Model, options: Any) -> Sequence[Operator]:
        from taxiway.optimize.quantize.tflite.graph import FloatGraph
        from taxiway.optimize.quantize.tflite.recipe import HALF, changed_by, half_weights

        return changed_by(FloatGraph(model), half_weights(), HALF)

    def quantize(
        self, model: Model, options: Any, kept: Mapping[str, Precision], context: Context
    ) -> Model:
        from taxiway.optimize.quantize.tflite.finite import check_weights
        from taxiway.optimize.quantize.tflite.graph import FloatGraph
        from taxiway.optimize.quantize.tflite.quantizer import quantized, save
        from taxiway.optimize.quantize.tflite.recipe import HALF, half_weights, quantizer_of

        graph = FloatGraph(model)
        check_weights(graph, kept, model.path.name)
        made = quantizer_of(graph, half_weights(), kept, HALF)
        return save(quantized(made, None, model), graph, model, "FLOAT16", context)
