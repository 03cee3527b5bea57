"""Integers in place of the weights of an ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxiway.model import Model
from taxiway.optimize.quantize.onnx import graph as graphs
from taxiway.optimize.quantize.onnx.constants import drop_unread
from taxiway.optimize.quantize.onnx.places import Place, places

if TYPE_CHECKING:
    from taxiway.optimize.quantize.codes import Codes

WORTH = 256
"""Bytes that a weight must save: its scales and its node cost about as many."""
MICROSOFT = "com.microsoft"


@dataclass
class Coder:
    """Rewrites nodes of one model (`proto`, an onnx.ModelProto); `finish` puts the result into it.

    block: neighbours that share a scale in a dense layer; None for one scale per output channel, or
    per weight where `whole`.
    """

    proto: Any
    model: Model
    bits: int
    block: int | None
    symmetric: bool
    whole: bool = False

    def __post_init__(self) -> None:
        self.graph = self.proto.graph
        self._weights = graphs.constants(self.graph)
        self._before: dict[str, list[Any]] = {}
        self._after: dict[str, list[Any]] = {}
        self._made: dict[tuple[Any, ...], str | None] = {}

    def encode(self, node: Any) -> None:
        """Store the weights of a node as integers. Raises StepError where one holds NaN or Inf."""
        for place in places(node, self._weights):
            graphs.check_constants(self.graph, [node], self.model)
            if node.op_type == "Gather":
                self._table(node)
            else:
                self._weight(node, place)

    def finish(self) -> None:
        """Put the nodes that were made into the graph, and drop the weights that nothing reads."""
        from onnx import helper

        nodes: list[Any] = []
        for node in self.graph.node:
            nodes += [*self._before.get(node.name, ()), node, *self._after.get(node.name, ())]
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        drop_unread(self.graph)
        known = {entry.domain for entry in self.proto.opset_import}
        if MICROSOFT not in known and any(node.domain == MICROSOFT for node in nodes):
            self.proto.opset_import.append(helper.make_opsetid(MICROSOFT, 1))

    def _weight(self, node: Any, place: Place) -> None:
        name = node.input[place.index]
        key = (name, place)
        if key not in self._made:
            values, turned = self._values(name), place.dense and place.output == 0
            codes = self._codes(values.T if turned else values, place)
            self._made[key] = None
            if self._saves(name, codes):
                stem = self._free(f"{name}_int{self.bits}")
                nodes = self._dequantized(stem, codes) if place.dense else self._cast(stem, codes)
                self._before.setdefault(node.name, []).extend(nodes)
                self._made[key] = stem
        if self._made[key]:
            node.input[place.index] = self._made[key]
            if place.dense:
                # Only [input, output] becomes MatMulNBits.
                kept = [attribute for attribute in node.attribute if attribute.name != "transB"]
                del node.attribute[:]
                node.attribute.extend(kept)

    def _codes(self, values: Any, place: Place) -> Codes:
        """Codes of a weight; of a dense one as a matrix [input, output]."""
        from taxiway.optimize.quantize import codes

        if self.block and place.dense and len(values) > self.block:
            return codes.in_blocks(values, self.bits, 0, self.block, self.symmetric)
        if self.whole:
            return codes.per_tensor(values, self.bits, self.symmetric)
        output = 1 if place.dense else place.output
        return codes.per_channel(values, self.bits, output, self.symmetric)

    def _dequantized(self, stem: str, codes: Codes) -> list[Any]:
        from onnx import helper

        axis = {} if codes.axis is None else {"axis": codes.axis}
        size = {"block_size": codes.block} if codes.block else {}
        names = list(self._stored(stem, codes).values())
        return [helper.make_node("DequantizeLinear", names, [stem], stem, **axis, **size)]

    def _cast(self, stem: str, codes: Codes) -> list[Any]:
        """Cast, Sub, Mul: ONNX Runtime folds them when it loads the file, and never DequantizeLinear,
        which it would compute again on every call."""
        from onnx import TensorProto, helper

        names = self._stored(stem, codes.broadcast())
        steps = [("Cast", [names["codes"]], {"to": TensorProto.FLOAT})]
        if codes.zero is not None:
            steps.append(("Sub", [f"{stem}_cast", names["zero"]], {}))
        steps.append(("Mul", [f"{stem}_{steps[-1][0].lower()}", names["scale"]], {}))
        outputs = [*(f"{stem}_{kind.lower()}" for kind, _, _ in steps[:-1]), stem]
        return [
            helper.make_node(kind, inputs, [output], output, **attributes)
            for (kind, inputs, attributes), output in zip(steps, outputs, strict=True)
        ]

    def _table(self, node: Any) -> None:
        """A lookup: the integers are looked up, then the few rows that were found become float."""
        from taxiway.optimize.quantize import codes

        name = node.input[0]
        table = self._values(name)
        if self.bits == 4 and self.block and table.shape[1] > self.block:
            found = codes.in_blocks(table, 4, 1, self.block, symmetric=True)
        else:
            found = codes.per_channel(table, 8, 0, symmetric=True)
            found = found.broadcast()
        if not self._saves(name, found):
            return
        stem = self._made.get((name, "table")) or self._free(f"{name}_rows")
        if (name, "table") not in self._made:
            self._made[name, "table"] = stem
            self._stored(stem, found)
        self._look_up(node, stem, found)

    def _look_up(self, node: Any, stem: str, found: Codes) -> None:
        from onnx import TensorProto, helper

        ids, output = node.input[1], node.output[0]
        if found.block:
            node.op_type, node.domain = "GatherBlockQuantized", MICROSOFT
            del node.input[:], node.attribute[:]
            node.input.extend([f"{stem}_codes", ids, f"{stem}_scale"])
            for key, value in (
                ("gather_axis", 0),
                ("quantize_axis", 1),
                ("block_size", found.block),
            ):
                node.attribute.append(helper.make_attribute(key, value))
            return
        rows, scales, real = (f"{output}_{what}" for what in ("codes", "scale", "float"))
        node.input[0], node.output[0] = f"{stem}_codes", rows
        self._after[node.name] = [
            helper.make_node("Gather", [f"{stem}_scale", ids], [scales], f"{node.name}_scale"),
            helper.make_node("Cast", [rows], [real], f"{node.name}_float", to=TensorProto.FLOAT),
            helper.make_node("Mul", [real, scales], [output], f"{node.name}_real"),
        ]

    def _stored(self, stem: str, codes: Codes) -> dict[str, str]:
        """New initializers for codes, scales, and zero points where there are any -> their names."""
        import ml_dtypes
        import numpy as np
        from onnx import numpy_helper

        dtype = codes.codes.dtype
        if codes.bits == 4:
            dtype = np.dtype(ml_dtypes.int4 if codes.zero is None else ml_dtypes.uint4)
        parts = {"codes": codes.codes.astype(dtype), "scale": codes.scale}
        if codes.zero is not None:
            parts["zero"] = codes.zero if codes.zero.dtype.kind == "f" else codes.zero.astype(dtype)
        for what, values in parts.items():
            self.graph.initializer.append(numpy_helper.from_array(values, f"{stem}_{what}"))
        return {what: f"{stem}_{what}" for what in parts}

    def _saves(self, name: str, codes: Codes) -> bool:
        return graphs.size_of(self._weights[name]) - codes.size >= WORTH

    def _values(self, name: str) -> Any:
        from onnx import numpy_helper

        return numpy_helper.to_array(self._weights[name])

    def _free(self, name: str) -> str:
        taken = {n for node in self.graph.node for n in (*node.input, *node.output)}
        while name in taken:
            name += "_"
        return name
