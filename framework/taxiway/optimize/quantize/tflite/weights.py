"""8- and 4-bit weights in a .tflite, read back to float32 before each operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.operators import Operator, Precision
from taxiway.optimize.quantize.weights import QuantizeWeights
from taxiway.plugins import Context

if TYPE_CHECKING:
    from taxiway.optimize.quantize.tflite.graph import FloatGraph

DENSE = "FULLY_CONNECTED"
FLOAT32: Precision = "float32"
BLOCK = 32
"""Neighbours that share a scale where weights have 4 bits and the options name no block."""


class TFLiteWeights(QuantizeWeights):
    libraries = ("ai-edge-quantizer", "ai-edge-litert")

    def check(self, options: Any) -> None:
        if options.block and not options.symmetric:
            raise ValueError(
                "block needs symmetric weights on tflite; drop block or symmetric=false"
            )

    def operators(self, model: Model, options: Any) -> Sequence[Operator]:
        from taxiway.optimize.quantize.tflite.graph import FloatGraph
        from taxiway.optimize.quantize.tflite.recipe import changed_by

        return changed_by(FloatGraph(model), _config(model, options))

    def quantize(
        self, model: Model, options: Any, kept: Mapping[str, Precision], context: Context
    ) -> Model:
        from taxiway.optimize.quantize.tflite.blocks import dense_weights, store_in_blocks
        from taxiway.optimize.quantize.tflite.finite import check_weights
        from taxiway.optimize.quantize.tflite.graph import FloatGraph
        from taxiway.optimize.quantize.tflite.quantizer import quantized, save
        from taxiway.optimize.quantize.tflite.recipe import changed_by, quantizer_of

        graph = FloatGraph(model)
        check_weights(graph, kept, model.path.name)
        config, block = _config(model, options), _block(model, options)
        dense = dense_weights(graph, block, kept) if block else {}
        if block:
            self._report(graph, block, dense, kept, options, context)
        rest = {**dict.fromkeys(dense, FLOAT32), **kept}
        changed = {operator.name for operator in changed_by(graph, config)} - set(kept)
        content = graph.content
        if changed - set(dense) or not dense:
            content = quantized(quantizer_of(graph, config, rest), None, model)
        if block and dense:
            content = store_in_blocks(content, graph.index, dense.values(), block, options.bits)
        return save(content, graph, model, f"INT{options.bits}", context)

    def _report(
        self,
        graph: FloatGraph,
        block: int,
        dense: Mapping[str, str],
        kept: Mapping[str, Precision],
        options: Any,
        context: Context,
    ) -> None:
        """Tell which dense layers got blocks, and which got a scale per output channel instead.

        Raises StepError where the options name a block that fits none.
        """
        layers = [
            scoped.operator.name
            for scoped in graph.operators
            if scoped.operator.type == DENSE and scoped.weighted
        ]
        others = [name for name in layers if name not in dense and name not in kept]
        if options.block and not dense:
            found = f"the first is '{others[0]}'" if others else "it has none"
            raise StepError(
                f"block={block} fits the input size of no dense layer of the model; {found}",
                "drop block for one scale per output channel, or take a divisor of the input size",
            )
        context.tell("blocks", {"size": block, "layers": sorted(dense), "per channel": others})


def _config(model: Model, options: Any) -> Any:
    from taxiway.optimize.quantize.granularity import granularity_of
    from taxiway.optimize.quantize.tflite import recipe

    granularity = recipe.GRANULARITY[granularity_of(None, model)]
    return recipe.float_arithmetic(recipe.integers(options.bits, granularity, options.symmetric))


def _block(model: Model, options: Any) -> int | None:
    """Weights of a clustered model keep one scale: a scale per block would make more values."""
    from taxiway.optimize.quantize.granularity import granularity_of

    if not options.symmetric or granularity_of(None, model) == "per_tensor":
        return None
    return options.block or (BLOCK if options.bits == 4 else None)
