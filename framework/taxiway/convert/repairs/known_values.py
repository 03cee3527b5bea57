"""What the tensors of an ONNX graph are worth that depend on no input, but at most on fixed sizes."""

from __future__ import annotations

from typing import Any

_SIZES = (1, 1048583)
"""Two sizes for every free axis: what comes out the same for both does not depend on it."""
_LARGEST = 4096
"""Elements of a tensor that is computed here: counters, conditions and shapes have few."""


class _Unknown(Exception):
    pass


class KnownValues:
    """graph: an onnx.GraphProto. shapes: the same with inferred shapes."""

    def __init__(self, graph: Any, shapes: Any, opset: int) -> None:
        self._makers = {name: node for node in graph.node for name in node.output if name}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._axes = {
            value.name: value.type.tensor_type.shape.dim
            for value in (*shapes.input, *shapes.value_info, *shapes.output)
            if value.type.tensor_type.HasField("shape")
        }
        self._opset = opset
        self._memo: dict[tuple[str, int], Any] = {}

    def value(self, name: str) -> Any:
        """A NumPy array, or None where it is not known."""
        import numpy as np

        try:
            first, second = (self._at(name, size) for size in _SIZES)
        except _Unknown:
            return None
        return first if np.array_equal(first, second) else None

    def _at(self, name: str, size: int) -> Any:
        from onnx import numpy_helper

        if (name, size) not in self._memo:
            if name in self._constants:
                found = numpy_helper.to_array(self._constants[name])
            elif name in self._makers:
                found = self._given(self._makers[name], name, size)
            else:
                raise _Unknown
            self._memo[name, size] = found
        return self._memo[name, size]

    def _given(self, node: Any, name: str, size: int) -> Any:
        import numpy as np

        if node.op_type == "Shape" and not node.attribute:
            if node.input[0] not in self._axes:
                raise _Unknown
            axes = self._axes[node.input[0]]
            return np.array([a.dim_value if a.HasField("dim_value") else size for a in axes])
        inputs = [self._at(given, size) if given else None for given in node.input]
        results = computed(node, inputs, self._opset)
        if results is None:
            raise _Unknown
        return results[list(node.output).index(name)]


def computed(node: Any, inputs: list[Any], opset: int) -> list[Any] | None:
    """The outputs of one small node by ONNX's reference; None where it has subgraphs, is large, or
    fails."""
    import onnx
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    given = [array for array in inputs if array is not None]
    if any(a.size > _LARGEST for a in given) or any(
        a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute
    ):
        return None
    if node.domain not in ("", "ai.onnx") or node.op_type in ("Expand", "ConstantOfShape"):
        return None
    values = [(name, array) for name, array in zip(node.input, inputs, strict=True) if name]
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in dict(values).items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "node", infos, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        found = ReferenceEvaluator(model).run(None, dict(values))
    except Exception:
        return None
    results = iter(found)
    return [next(results) if name else None for name in node.output]
