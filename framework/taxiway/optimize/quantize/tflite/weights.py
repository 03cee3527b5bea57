"""8- and 4-bit weights in a .tflite, read back to float32 before each operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taxiway.model import Model
from taxiway.optimize.quantize.operators import Operator, Precision
from taxiway.optimize.quantize.weights import QuantizeWeights
from taxiway.plugins import Context


class TFLiteWeights(QuantizeWeights):
    libraries = ("ai-edge-quantizer", "ai-edge-litert")

    def operators(self, model: Model, options: Any) -> Sequence[Operator]:
        from taxiway.optimize.quantize.tflite.graph import FloatGraph
        from taxiway.optimize.quantize.tflite.recipe import changed_by

        return changed_by(FloatGraph(model), _config(model, options))

    def quantize(
        self, model: Model, options: Any, kept: Mapping[str, Precision], context: Context
    ) -> Model:
        from taxiway.optimize.quantize.tflite.finite import finite_weights
        from taxiway.optimize.quantize.tflite.graph import FloatGraph
        from taxiway.optimize.quantize.tflite.quantizer import write_quantized
        from taxiway.optimize.quantize.tflite.recipe import quantizer_of

        graph = FloatGraph(model)
        finite_weights(graph, kept, model.path.name)
        made = quantizer_of(graph, _config(model, options), kept)
        return write_quantized(made, graph, None, model, f"INT{options.bits}", context)


def _config(model: Model, options: Any) -> Any:
    from taxiway.optimize.quantize.granularity import granularity_of
    from taxiway.optimize.quantize.tflite import recipe

    granularity = recipe.GRANULARITY[granularity_of(None, model)]
    return recipe.float_arithmetic(recipe.integers(options.bits, granularity, options.symmetric))
