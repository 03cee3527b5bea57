"""Weight-only quantization of an ONNX model: integers in the file, float32 for the operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taxiway.model import Model
from taxiway.optimize.operators import Operator, Precision
from taxiway.optimize.quantize.onnx import graph as graphs
from taxiway.optimize.quantize.onnx.constants import lift_constants
from taxiway.optimize.quantize.onnx.last import Last
from taxiway.optimize.quantize.onnx.written import checked
from taxiway.optimize.quantize.weights import QuantizeWeights
from taxiway.plugins import Context


class OnnxWeights(QuantizeWeights):
    """Standard ONNX, but for 4-bit lookups.

    A dense layer reads its integers through DequantizeLinear: of the two ONNX Runtime makes its
    MatMulNBits when it loads the file. Other operators read them through Cast and Mul, which it folds.
    """

    libraries = ("onnxruntime", "onnx")

    def __init__(self) -> None:
        self._graph: Last[Any] = Last()

    def operators(self, model: Model, options: Any) -> Sequence[Operator]:
        from taxiway.optimize.quantize.onnx.places import places

        graph = self._loaded(model).graph
        weights = graphs.constants(graph)
        found = [graphs.operator(node, weights) for node in graph.node if places(node, weights)]
        patterns = (*options.only, *options.exclude, *options.keep)
        graphs.refuse_others(graph, found, patterns, "quantize_weights quantizes")
        return found

    def quantize(
        self, model: Model, options: Any, kept: Mapping[str, Precision], context: Context
    ) -> Model:
        import onnx

        from taxiway.optimize.quantize.granularity import granularity_of
        from taxiway.optimize.quantize.onnx.coder import Coder
        from taxiway.optimize.quantize.onnx.kept import in_own_precision

        block = options.block or (32 if options.bits == 4 else None)
        whole = not options.block and granularity_of(None, model) == "per_tensor"
        proto = onnx.ModelProto()
        proto.CopyFrom(self._loaded(model))
        if options.bits == 4 or block:
            proto = graphs.at_least(proto, 21, model)
            proto.ir_version = max(proto.ir_version, 10)
        coder = Coder(proto, model, options.bits, block, options.symmetric, whole)
        for node in list(proto.graph.node):
            if node.name not in kept:
                coder.encode(node)
        coder.finish()
        proto = in_own_precision(proto, model, kept)
        return checked(model, proto, graphs.integer_weights, context)

    def _loaded(self, model: Model) -> Any:
        return self._graph.get(model.path, lambda: _ready(model))


def _ready(model: Model) -> Any:
    import onnx

    graphs.float_graph(model)
    proto = graphs.at_least(onnx.load(model.path), graphs.OPSET, model)
    graphs.name_nodes(proto.graph)
    lift_constants(proto.graph)
    return proto
