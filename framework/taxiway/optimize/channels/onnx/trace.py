"""Follows the channels through an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from taxiway.optimize.channels.flow import Flow
from taxiway.optimize.channels.graph import ChannelGraph, finish
from taxiway.optimize.channels.onnx.constants import ONNX
from taxiway.optimize.channels.onnx.names import names_captured
from taxiway.optimize.channels.onnx.node import Node, Opaque, Operand
from taxiway.optimize.channels.onnx.rules import RULES
from taxiway.optimize.channels.onnx.shapes import shapes_of
from taxiway.optimize.channels.onnx.sizes import Sizes, moved, of_constant, of_shape
from taxiway.optimize.channels.signal import Constant, Signal, plain

FLOATS = (1, 10, 11, 16)
"""float32, float16, float64, bfloat16: `TensorProto.DataType` of what counts as parameters."""
Array = np.ndarray[Any, Any]


def trace(proto: Any, only: Sequence[str] = (), exclude: Sequence[str] = ()) -> ChannelGraph:
    """The channels of a graph with plain constants. Raises StepError for a pattern that names no layer."""
    tracer = _Tracer(proto)
    tracer.follow()
    return finish(tracer.flow, only, exclude)


class _Tracer:
    def __init__(self, proto: Any) -> None:
        self._graph = proto.graph
        self._opset = next((o.version for o in proto.opset_import if o.domain in ONNX), 1)
        self._shapes = shapes_of(proto)
        self._constants = {tensor.name: tensor for tensor in self._graph.initializer}
        self._sparse = {tensor.values.name for tensor in self._graph.sparse_initializer}
        self._sizes: dict[str, Sizes] = {}
        self._signals: dict[str, Signal | None] = {}
        self.flow = Flow()

    def follow(self) -> None:
        for value in self._graph.input:
            if value.name not in self._constants:
                self._signals[value.name] = self._plain(value.name)
        for node in self._graph.node:
            self._step(node.name, node)
        for value in self._graph.output:
            if value.name in self._constants:
                self.flow.use(self._constant(value.name), {}, f"output '{value.name}'")
            self._keep(value.name, f"it is output '{value.name}' of the model")
            self._protect_sizes(value.name, f"output '{value.name}'")
        floats = {name for name, tensor in self._constants.items() if tensor.data_type in FLOATS}
        for name in self.flow.weights.keys() - floats:
            del self.flow.weights[name]

    def _keep(self, name: str, reason: str) -> None:
        signal = self._signals.get(name)
        for ids in signal.axes if signal else ():
            self.flow.protect(ids, reason)

    def _step(self, name: str, proto: Any) -> None:
        where = f"{proto.op_type} '{name}'"
        inputs = [self._operand(given) for given in proto.input]
        for captured in names_captured(proto):
            self._protect_sizes(captured, where)
            self._keep(captured, f"{where} has a graph of its own")
            if captured in self._constants:
                self.flow.use(self._constant(captured), {}, where)
        outputs = [output for output in proto.output if output]
        results = [self._plain(output) for output in outputs]
        if self._follow_sizes(proto, where):
            self._signals.update(zip(outputs, results, strict=True))
            return
        if proto.op_type == "Shape" and proto.domain in ONNX:
            self._shape(proto, inputs[0])
        try:
            made = self._made(name, proto, inputs, results)
        except Opaque as reason:
            self.flow.opaque(inputs, where, str(reason))
            if proto.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
                self.flow.keep(name, f"it {reason}")
            made = results
        self._signals.update(zip(outputs, made, strict=True))

    def _shape(self, proto: Any, operand: Operand) -> None:
        if not isinstance(operand, Signal):
            return
        numbers = {attribute.name: attribute.i for attribute in proto.attribute}
        sizes = of_shape(operand, numbers.get("start", 0), numbers.get("end"))
        self._sizes[proto.output[0]] = sizes

    def _made(
        self, name: str, proto: Any, inputs: list[Operand], results: Sequence[Signal | None]
    ) -> Sequence[Signal | None]:
        if proto.op_type == "Shape" and proto.output[0] in self._sizes:
            return results
        rule = RULES.get(proto.op_type) if proto.domain in ONNX else None
        if rule is None:
            raise Opaque("is an operator that channels are not followed through")
        known = [result for result in results if result is not None]
        missing = [n for n, o in zip(proto.input, inputs, strict=True) if n and o is None]
        if missing or len(known) < len(results):
            raise Opaque("has a shape that cannot be inferred")
        node = Node(
            name=name,
            proto=proto,
            flow=self.flow,
            opset=self._opset,
            inputs=inputs,
            results=known,
            value=lambda at: self._value(proto, at),
            sizes=lambda at: self._known(proto.input[at]),
        )
        made = rule(node)
        for found, wanted in zip(made, known, strict=True):
            if found.shape != wanted.shape:
                for ids in found.axes:
                    self.flow.protect(ids, f"{node.where} gives another shape than expected")
        return made

    def _plain(self, name: str) -> Signal | None:
        shape = self._shapes.get(name)
        return None if shape is None else plain(*shape)

    def _constant(self, name: str) -> Constant:
        return Constant(name, tuple(self._constants[name].dims))

    def _operand(self, name: str) -> Operand:
        if name in self._constants:
            return self._constant(name)
        return self._signals.get(name)

    def _value(self, proto: Any, at: int) -> Array | None:
        name = proto.input[at] if at < len(proto.input) else ""
        return self._array(name) if name in self._constants else None

    def _array(self, name: str) -> Array:
        from onnx import numpy_helper

        array: Array = numpy_helper.to_array(self._constants[name])
        return array

    def _known(self, name: str) -> Sizes | None:
        """What is known of a tensor of integers."""
        if name in self._constants:
            return of_constant(self._array(name))
        return self._sizes.get(name)

    def _follow_sizes(self, proto: Any, where: str) -> bool:
        """Whether the node does nothing but move integers that come from shapes."""
        if proto.domain not in ONNX or not any(name in self._sizes for name in proto.input):
            return False
        given = [self._known(name) for name in proto.input]
        found = moved(proto, given, lambda at: self._value(proto, at))
        if found is not None:
            self._sizes[proto.output[0]] = found
            return True
        reshapes = proto.op_type == "Reshape" and proto.input[0] not in self._sizes
        for name in () if reshapes else proto.input:
            self._protect_sizes(name, where)
        return False

    def _protect_sizes(self, name: str, where: str) -> None:
        for size in self._sizes.get(name, ()):
            self.flow.protect(size.ids, f"{where} reads their number")
