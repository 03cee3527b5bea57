"""Follows the channels through an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from taxiway.optimize.channels.flow import Flow
from taxiway.optimize.channels.graph import ChannelGraph, finish
from taxiway.optimize.channels.onnx.constants import ONNX
from taxiway.optimize.channels.onnx.names import names_captured, node_names
from taxiway.optimize.channels.onnx.node import Node, Opaque, Operand
from taxiway.optimize.channels.onnx.rules import RULES
from taxiway.optimize.channels.onnx.shapes import shapes_of
from taxiway.optimize.channels.signal import Constant, Signal, plain

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
        self._makers = {name: node for node in self._graph.node for name in node.output}
        self._readers: dict[str, list[Any]] = {}
        for node in self._graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._signals: dict[str, Signal | None] = {}
        self.flow = Flow()

    def follow(self) -> None:
        for value in self._graph.input:
            if value.name not in self._constants:
                self._signals[value.name] = self._plain(value.name)
        for name, node in zip(node_names(self._graph.node), self._graph.node, strict=True):
            self._step(name, node)
        for value in self._graph.output:
            if value.name in self._constants:
                self.flow.use(self._constant(value.name), {}, f"output '{value.name}'")
            self._keep(value.name, f"it is output '{value.name}' of the model")

    def _keep(self, name: str, reason: str) -> None:
        signal = self._signals.get(name)
        for ids in signal.axes if signal else ():
            self.flow.protect(ids, reason)

    def _step(self, name: str, proto: Any) -> None:
        where = f"{proto.op_type} '{name}'"
        inputs = [self._operand(given) for given in proto.input]
        for captured in names_captured(proto):
            self._keep(captured, f"{where} has a graph of its own")
            if captured in self._constants:
                self.flow.use(self._constant(captured), {}, where)
        outputs = [output for output in proto.output if output]
        results = [self._plain(output) for output in outputs]
        try:
            made = self._made(name, proto, inputs, results)
        except Opaque as reason:
            self.flow.opaque(inputs, where, str(reason))
            if proto.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
                self.flow.keep(name, f"it {reason}")
            made = results
        self._signals.update(zip(outputs, made, strict=True))

    def _made(
        self, name: str, proto: Any, inputs: list[Operand], results: Sequence[Signal | None]
    ) -> Sequence[Signal | None]:
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
            partial=lambda at: self._partial(proto, at),
            axes_read=lambda rank, start: self._axes_read(proto, rank, start),
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
        from onnx import numpy_helper

        name = proto.input[at] if at < len(proto.input) else ""
        if name not in self._constants:
            return None
        array: Array = numpy_helper.to_array(self._constants[name])
        return array

    def _partial(self, proto: Any, at: int) -> list[int | None] | None:
        """The integers of an input, where it is constant or put together of single numbers."""
        value = self._value(proto, at)
        if value is not None:
            return [int(size) for size in value.ravel()]
        maker = self._makers.get(proto.input[at])
        if maker is None or maker.op_type != "Concat":
            return None
        found: list[int | None] = []
        for place, name in enumerate(maker.input):
            piece = self._value(maker, place)
            if piece is not None:
                found += [int(size) for size in piece.ravel()]
            elif self._shapes.get(name, ((), ()))[0] == (1,):
                found.append(None)
            else:
                return None
        return found

    def _axes_read(self, proto: Any, rank: int, start: int) -> Iterable[int]:
        """Which sizes of a Shape are read; all of them where that is not plain."""
        (output,) = proto.output
        if output in {value.name for value in self._graph.output}:
            return range(rank)
        read: set[int] = set()
        for reader in self._readers.get(output, []):
            if reader.op_type == "Gather" and reader.input[0] == output:
                places = self._value(reader, 1)
                if places is not None:
                    read |= {
                        int(at) + start if at >= 0 else int(at) + rank for at in places.ravel()
                    }
                    continue
            if reader.op_type == "Slice" and reader.input[0] == output:
                ends = [self._value(reader, at) for at in (1, 2)]
                if ends[0] is not None and ends[1] is not None and len(reader.input) < 5:
                    read |= {*range(rank)[start:][int(ends[0].item()) : int(ends[1].item())]}
                    continue
            return range(rank)
        return read
