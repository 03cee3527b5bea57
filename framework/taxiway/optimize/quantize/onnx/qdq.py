"""Quantized weights and activations as QuantizeLinear/DequantizeLinear pairs, by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.operators import Operator, Precision
from taxiway.optimize.quantize.onnx import graph as graphs
from taxiway.optimize.quantize.onnx.constants import own_weights
from taxiway.optimize.quantize.onnx.integer_ops import COMPUTE, FOLLOW, activations, quantizable
from taxiway.optimize.quantize.onnx.last import Last
from taxiway.optimize.quantize.onnx.ranges import Ranges
from taxiway.plugins import Context, Selection
from taxiway.plugins.context import Note

MASK = 1e8
"""A value beyond it is a mask, such as the -3.4e38 that attention adds to what it must not see: with it
in its range, a tensor of 8 or 16 bits has one step for all other values."""


@dataclass(frozen=True)
class Encoding:
    """Types by ONNX Runtime's names, and how weights and activations use them."""

    activation: str
    weight: str
    per_channel: bool
    reduce_range: bool = False
    symmetric: bool = False
    bits: int = 8


class PairWriter:
    """Quantizes one model, as often as asked, after one preparation and one calibration."""

    def __init__(self) -> None:
        self._graph: Last[Any] = Last()
        self._ranges: Last[Ranges] = Last()
        self._noted = False

    def prepared(self, model: Model) -> Any:
        return self._graph.get(model.path, lambda: graphs.prepared(model))

    def operators(self, model: Model) -> Sequence[Operator]:
        """The operators that can be quantized: those that compute, on float32 values."""
        proto = self.prepared(model)
        weights, floats = graphs.constants(proto.graph), graphs.float_values(proto)
        return [
            graphs.operator(node, weights)
            for node in proto.graph.node
            if node.op_type in COMPUTE and not node.domain and quantizable(node, weights, floats)
        ]

    def named(self, model: Model, options: Any, what: str) -> Sequence[Operator]:
        """The operators, once every pattern of the options means one of them."""
        found = self.operators(model)
        patterns = (*options.only, *options.exclude, *options.keep)
        graphs.refuse_others(self.prepared(model).graph, found, patterns, what)
        return found

    def quantized(
        self,
        model: Model,
        encoding: Encoding,
        calibration: Any,
        selection: Selection,
        kept: Mapping[str, Precision],
        context: Context,
    ) -> Any:
        """The onnx.ModelProto with pairs around every operator that is not in `kept`.

        calibration: options, see optimize/quantize/static.py. Raises StepError where a value that
        needs a range became NaN or Inf, or where a weight holds one.
        """
        import onnx

        from taxiway.optimize.quantize.onnx.kept import in_own_precision

        base = self.prepared(model)
        operators = {op.name: op for op in self.operators(model)}
        proto = onnx.ModelProto()
        proto.CopyFrom(base)
        chosen = [
            node
            for node in proto.graph.node
            if node.op_type in FOLLOW or (node.name in operators and node.name not in kept)
        ]
        graphs.check_constants(proto.graph, chosen, model)
        ranges = self._ranges.get(
            (model.path, repr(calibration), encoding.bits),
            lambda: self._measure(base, model, encoding, calibration, selection, context),
        )
        chosen = self._without_masks(proto, chosen, ranges, context)
        needed = _check(model, proto, chosen, ranges)
        own_weights(proto.graph, {node.name for node in chosen})
        names = {node.name for node in chosen}
        result = _write(model, proto, encoding, names, {n: ranges.by_tensor[n] for n in needed})
        _read_float(result.graph, base.graph, names)
        return in_own_precision(result, model, kept)

    def _without_masks(
        self, proto: Any, chosen: Sequence[Any], ranges: Ranges, context: Context
    ) -> list[Any]:
        """The nodes but those that read or write a mask; a note says so, once."""
        masks = {n for n, (low, high) in ranges.by_tensor.items() if max(-low, high) > MASK}
        left = [node for node in chosen if not masks.isdisjoint((*node.input, *node.output))]
        if left and not self._noted:
            self._noted = True
            names = ", ".join(node.name for node in left[:8])
            context.note(Note("masks kept in float32", len(left), names))
        return [node for node in chosen if node not in left]

    def _measure(
        self,
        proto: Any,
        model: Model,
        encoding: Encoding,
        calibration: Any,
        selection: Selection,
        context: Context,
    ) -> Ranges:
        from taxiway.optimize.quantize.calibration import Feeds
        from taxiway.optimize.quantize.onnx.ranges import measure

        operators = {op.name for op in self.operators(model)}
        chosen = [n for n in proto.graph.node if n.name in operators or n.op_type in FOLLOW]
        tensors = list(activations(proto, chosen))
        if not tensors:
            return Ranges()
        feeds = Feeds(model, selection, context)
        return measure(proto, tensors, feeds, calibration, encoding.bits, model)


def _check(model: Model, proto: Any, nodes: Sequence[Any], ranges: Ranges) -> list[str]:
    """The values whose ranges are needed, once they are all known to be finite."""
    from taxiway.optimize.quantize.finite import check_ranges

    readers = activations(proto, nodes)
    check_ranges(ranges.broken, readers, model.path.name)
    return [name for name in readers if name in ranges.by_tensor]


def _write(
    model: Model,
    proto: Any,
    encoding: Encoding,
    chosen: set[str],
    ranges: Mapping[str, tuple[float, float]],
) -> Any:
    import numpy as np
    from onnxruntime import quantization as ort
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import add_infer_metadata

    if not any(node.name in chosen and node.op_type in COMPUTE for node in proto.graph.node):
        return proto
    add_infer_metadata(proto)
    bodies = bool(graphs.captured(proto.graph))
    pairs = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    try:
        quantizer = QDQQuantizer(
            proto,
            encoding.per_channel,
            encoding.reduce_range,
            ort.QuantType[encoding.weight],
            ort.QuantType[encoding.activation],
            TensorsData(ort.CalibrationMethod.MinMax, pairs),
            [],
            [node.name for node in proto.graph.node if node.name not in chosen],
            sorted(COMPUTE | FOLLOW),
            {
                "UseQDQContribOps": encoding.bits > 8 and graphs.opset_of(proto) < 21,
                "ActivationSymmetric": encoding.symmetric,
                # A body of an If may read what goes away with a Relu.
                "QDQKeepRemovableActivations": bodies,
                # The output's axis, for a weight of any rank.
                "QDQOpTypePerChannelSupportToAxis": {"MatMul": -1},
            },
        )
        quantizer.quantize_model()
    except Exception as error:
        raise StepError(f"ONNX Runtime cannot quantize {model.path.name}: {error}") from error
    return quantizer.model.model


def _read_float(graph: Any, before: Any, chosen: set[str]) -> None:
    """Let nodes that stay float read float values, where no quantized node wrote them."""
    writers = {name: node.name for node in before.node for name in node.output}
    sources = {node.output[0]: node for node in graph.node}
    for node in graph.node:
        if node.name in chosen or node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        for index, name in enumerate(node.input):
            pair = sources.get(name)
            if pair is None or pair.op_type != "DequantizeLinear":
                continue
            first = sources.get(pair.input[0])
            if first is None or first.op_type != "QuantizeLinear":
                continue
            if writers.get(first.input[0]) not in chosen:
                node.input[index] = first.input[0]
