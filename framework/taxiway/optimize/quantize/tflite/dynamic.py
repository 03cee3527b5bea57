"""Dynamic int8 quantization of a .tflite with AI Edge Quantizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taxiway.model import Model
from taxiway.optimize.operators import Operator, Precision
from taxiway.optimize.quantize.dynamic import QuantizeDynamic
from taxiway.plugins import Context


class TFLiteDynamic(QuantizeDynamic):
    """With one scale per weight, depthwise convolutions stay float32: LiteRT has no kernel for them."""

    libraries = ("ai-edge-quantizer", "ai-edge-litert")

    def operators(self, model: Model, options: Any) -> Sequence[Operator]:
        from taxiway.optimize.quantize.tflite.graph import FloatGraph
        from taxiway.optimize.quantize.tflite.recipe import changed_by

        return changed_by(FloatGraph(model), _config(model, options))

    def quantize(
        self, model: Model, options: Any, kept: Mapping[str, Precision], context: Context
    ) -> Model:
        from taxiway.optimize.quantize.tflite.finite import check_weights
        from taxiway.optimize.quantize.tflite.graph import FloatGraph
        from taxiway.optimize.quantize.tflite.quantizer import quantized, save
        from taxiway.optimize.quantize.tflite.recipe import quantizer_of

        graph = FloatGraph(model)
        check_weights(graph, kept, model.path.name)
        made = quantizer_of(graph, _config(model, options), kept)
        return save(quantized(made, None, model), graph, model, "INT8", context)


def _config(model: Model, options: Any) -> Any:
    from taxiway.optimize.quantize.granularity import granularity_of
    from taxiway.optimize.quantize.tflite import recipe

    granularity = recipe.GRANULARITY[granularity_of(options.granularity, model)]
    return recipe.integer_arithmetic(recipe.integers(8, granularity))
