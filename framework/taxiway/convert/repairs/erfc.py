"""`Erfc(x)` becomes `1 - Erf(x)`."""

from __future__ import annotations

from typing import Any

from taxiway.convert.repairs.repair import Repair
from taxiway.model.onnx_graph import subgraphs

_OP = "Erfc"


def applies(model: Any) -> int:
    return _count(model.graph)


def _count(graph: Any) -> int:
    return sum((node.op_type == _OP) + sum(map(_count, subgraphs(node))) for node in graph.node)


def apply(model: Any) -> int:
    """In the dtype that the graph notes for the tensor, else float32."""
    return _apply(model.graph)


def _apply(graph: Any) -> int:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    noted = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    nodes = list(graph.node)
    del graph.node[:]
    count = 0
    for node in nodes:
        count += sum(map(_apply, subgraphs(node)))
        if node.op_type != _OP:
            graph.node.append(node)
            continue
        count += 1
        (x,), (y,) = node.input, node.output
        dtype = noted.get(y) or noted.get(x) or TensorProto.FLOAT
        one = np.ones((), helper.tensor_dtype_to_np_dtype(dtype))
        graph.initializer.append(numpy_helper.from_array(one, f"{y}__one"))
        graph.node.append(helper.make_node("Erf", [x], [f"{y}__erf"]))
        graph.node.append(helper.make_node("Sub", [f"{y}__one", f"{y}__erf"], [y]))
    return count


REPAIR = Repair(
    name="erfc",
    stage="after tf2onnx",
    about="tf2onnx passes TensorFlow's Erfc through, an operator that ONNX does not have; it becomes "
    "1 - Erf(x).",
    source="https://onnx.ai/onnx/operators/ has no Erfc; tf2onnx/onnx_opset/math.py maps only Erf",
    applies=applies,
    apply=apply,
)
