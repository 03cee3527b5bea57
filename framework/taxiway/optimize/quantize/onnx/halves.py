"""Single nodes of an ONNX graph in float16, between casts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from taxiway.errors import StepError

HALF = "tensor(float16)"


def into_halves(proto: Any, names: Collection[str]) -> Any:
    """The graph with the nodes called `names` computing in float16, their constants stored so.

    proto: with the types of its values. Inputs are cast before, outputs after; between two such nodes
    there is no cast. Raises StepError for a node whose operator has no float16 in the graph's opset
    (https://onnx.ai/onnx/operators).
    """
    from onnx import TensorProto, helper

    from taxiway.optimize.quantize.onnx.constants import drop_unread

    if not names:
        return proto
    graph = proto.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    kinds = _float_kinds(proto)
    nodes: list[Any] = []
    halves: dict[str, str] = {}
    for node in graph.node:
        if node.name not in names:
            nodes.append(node)
            continue
        takes, gives = _slots(node, proto)
        if not gives:
            raise StepError(
                f"'{node.name}' cannot be kept in float16: {node.op_type} has none",
                f"keep: {{'{node.name}': float32}}",
            )
        for index, name in enumerate(node.input):
            if index not in takes or name not in kinds:
                continue
            if name not in halves:
                halves[name] = f"{name}_float16"
                if name in weights:
                    graph.initializer.append(_half(weights[name], halves[name]))
                else:
                    nodes.append(
                        helper.make_node(
                            "Cast",
                            [name],
                            [halves[name]],
                            f"{name}_to_float16",
                            to=TensorProto.FLOAT16,
                        )
                    )
            node.input[index] = halves[name]
        nodes.append(node)
        for index, name in enumerate(node.output):
            if index in gives and name in kinds:
                halves[name] = node.output[index] = f"{name}_float16"
                nodes.append(
                    helper.make_node(
                        "Cast", [halves[name]], [name], f"{name}_to_float32", to=TensorProto.FLOAT
                    )
                )
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unread(graph)
    return proto


def _float_kinds(proto: Any) -> set[str]:
    from onnx import TensorProto

    graph = proto.graph
    values = (*graph.input, *graph.output, *graph.value_info)
    found = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    found |= {t.name for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    # Of com.microsoft it has no type that onnx infers.
    pairs = [node for node in graph.node if node.op_type == "DequantizeLinear"]
    return found | {node.output[0] for node in pairs}


def can_halve(node: Any, proto: Any) -> bool:
    """Whether a node has a result that may be float16, by its operator's definition."""
    return bool(_slots(node, proto)[1])


def _slots(node: Any, proto: Any) -> tuple[set[int], set[int]]:
    """Positions of the inputs and outputs that may be float16."""
    import onnx

    opset = next((entry.version for entry in proto.opset_import if entry.domain == node.domain), 1)
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
    except onnx.defs.SchemaError:
        return set(), set()
    able = {c.type_param_str for c in schema.type_constraints if HALF in c.allowed_type_strs}

    def positions(formal: Any, names: Any) -> set[int]:
        return {
            index
            for index, name in enumerate(names)
            if name and formal[min(index, len(formal) - 1)].type_str in able
        }

    return positions(schema.inputs, node.input), positions(schema.outputs, node.output)


def _half(tensor: Any, name: str) -> Any:
    from onnx import numpy_helper
    from onnxruntime.transformers.float16 import convert_np_to_float16

    values = numpy_helper.to_array(tensor)
    halved = convert_np_to_float16(values.reshape(-1)).reshape(values.shape)
    return numpy_helper.from_array(halved, name)
