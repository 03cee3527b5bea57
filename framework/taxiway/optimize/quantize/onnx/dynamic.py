"""Dynamic int8 quantization of an ONNX model with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.operators import Operator, Precision
from taxiway.optimize.quantize.dynamic import QuantizeDynamic
from taxiway.optimize.quantize.onnx import graph as graphs
from taxiway.optimize.quantize.onnx.constants import drop_unread, own_weights
from taxiway.optimize.quantize.onnx.last import Last
from taxiway.optimize.quantize.onnx.written import checked
from taxiway.plugins import Context

WEIGHTS = {"Attention": (1,), "Gather": (0,), "LSTM": (1, 2), "MatMul": (1,)}
"""Operator -> its inputs that must be constants: ONNX Runtime's own list but for Conv."""
RESULTS = ("MatMulInteger", "DynamicQuantizeLSTM", "QAttention", "DequantizeLinear")


class OnnxDynamic(QuantizeDynamic):
    """A dense layer (Gemm) becomes MatMul and Add, as the quantizer takes it, and keeps its name."""

    libraries = ("onnxruntime", "onnx")
    machine_dependent = True

    def __init__(self) -> None:
        self._graph: Last[Any] = Last()

    def operators(self, model: Model, options: Any) -> Sequence[Operator]:
        proto = self._prepared(model)
        weights = graphs.constants(proto.graph)
        found = [
            graphs.operator(node, weights) for node in proto.graph.node if _taken(node, weights)
        ]
        patterns = (*options.only, *options.exclude, *options.keep)
        graphs.refuse_others(proto.graph, found, patterns, "quantize_dynamic quantizes")
        return found

    def quantize(
        self, model: Model, options: Any, kept: Mapping[str, Precision], context: Context
    ) -> Model:
        import onnx
        from onnxruntime import quantization as ort

        from taxiway.optimize.quantize.cpu import this_cpu
        from taxiway.optimize.quantize.granularity import granularity_of
        from taxiway.optimize.quantize.onnx.kept import in_own_precision

        proto = onnx.ModelProto()
        proto.CopyFrom(self._prepared(model))
        weights = graphs.constants(proto.graph)
        chosen = [n for n in proto.graph.node if n.name not in kept and _taken(n, weights)]
        graphs.check_constants(proto.graph, chosen, model)
        names = {node.name for node in chosen}
        own_weights(proto.graph, names)
        with TemporaryDirectory() as folder:
            result = Path(folder) / "quantized.onnx"
            try:
                ort.quantize_dynamic(
                    proto,
                    result,
                    op_types_to_quantize=list(WEIGHTS),
                    nodes_to_exclude=[n.name for n in proto.graph.node if n.name not in names],
                    per_channel=granularity_of(options.granularity, model) == "per_channel",
                    reduce_range=this_cpu().reduce_range,
                    weight_type=ort.QuantType.QInt8,
                )
                quantized = onnx.load(result)
            except Exception as error:
                raise StepError(
                    f"ONNX Runtime cannot quantize {model.path.name}: {error}"
                ) from error
        quantized = in_own_precision(quantized, model, kept)
        return checked(model, quantized, graphs.count_ops(*RESULTS), context)

    def _prepared(self, model: Model) -> Any:
        return self._graph.get(model.path, lambda: _without_gemm(graphs.prepared(model)))


def _without_gemm(proto: Any) -> Any:
    from onnxruntime.quantization.onnx_model import ONNXModel

    dense = [node.name for node in proto.graph.node if node.op_type == "Gemm"]
    ONNXModel(proto).replace_gemm_with_matmul()
    made = {f"{name}_MatMul": name for name in dense}
    for node in proto.graph.node:
        node.name = made.get(node.name, node.name)
    drop_unread(proto.graph)
    return proto


def _taken(node: Any, weights: Mapping[str, Any]) -> bool:
    """Whether the quantizer changes a node; it loses the attribute `layout` of an LSTM."""
    from onnx import TensorProto

    if any(attribute.name == "layout" and attribute.i for attribute in node.attribute):
        return False
    constant = [node.input[i] for i in WEIGHTS.get(node.op_type, ()) if i < len(node.input)]
    return bool(constant) and all(
        name in weights and weights[name].data_type == TensorProto.FLOAT for name in constant
    )
