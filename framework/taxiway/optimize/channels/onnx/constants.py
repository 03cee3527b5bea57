"""An ONNX graph whose constants are all initializers, and what is computed from constants alone is one."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from taxiway.errors import StepError

FOLDED = frozenset(
    {
        *("Cast", "Concat", "Constant", "ConstantOfShape", "Flatten", "Gather", "Identity"),
        *("Reshape", "Shape", "Slice", "Squeeze", "Transpose", "Unsqueeze"),
    }
)
"""Operators that only move values: their results are exact."""
ONNX = ("", "ai.onnx")
SHARED = 2**18
"""Elements of a weight from which it is not moved into a copy while others read it, too."""


def with_plain_constants(proto: Any) -> None:
    """Change the graph in place: `Constant` nodes and the moves of weights become initializers.

    So a weight that is transposed before it is used is a weight. Every node gets a name of its own.
    Raises StepError where such a node cannot be computed.
    """
    from onnx import numpy_helper

    from taxiway.optimize.channels.onnx.names import name_nodes, names_used

    graph = proto.graph
    known = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    readers = Counter(name for node in graph.node for name in names_used(node))
    kept = []
    for node in graph.node:
        foldable = node.domain in ONNX and node.op_type in FOLDED and len(node.output) == 1
        if (
            not foldable
            or node.output[0] in outputs
            or any(name and name not in known for name in node.input)
            or any(readers[name] > 1 and _large(known[name]) for name in node.input if name)
        ):
            kept.append(node)
            continue
        value = _value(proto, node, {n: numpy_helper.to_array(known[n]) for n in node.input if n})
        tensor = numpy_helper.from_array(np.asarray(value), node.output[0])
        known[tensor.name] = tensor
        graph.initializer.append(tensor)
    del graph.node[:]
    graph.node.extend(kept)
    drop_unread(graph)
    name_nodes(graph)


def _large(tensor: Any) -> bool:
    elements: int = math.prod(tensor.dims)
    return elements > SHARED


def _value(proto: Any, node: Any, inputs: dict[str, Any]) -> Any:
    import onnx
    from onnx.reference import ReferenceEvaluator

    graph = onnx.helper.make_graph(
        [node],
        "constant",
        [
            onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in inputs.items()
        ],
        [onnx.ValueInfoProto(name=node.output[0])],
    )
    model = onnx.helper.make_model(graph, opset_imports=proto.opset_import)
    model.ir_version = proto.ir_version
    try:
        return ReferenceEvaluator(model).run(None, inputs)[0]
    except Exception as error:
        raise StepError(
            f"{node.op_type} '{node.name or node.output[0]}' of constants cannot be computed: {error}",
            "optimize=[simplify, prune_channels] folds constants with ONNX Runtime first",
        ) from error


def drop_unread(graph: Any) -> None:
    """Remove nodes and initializers whose results nothing reads."""
    from taxiway.optimize.channels.onnx.names import names_used

    used = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if any(name in used for name in node.output):
            kept.append(node)
            used.update(names_used(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))
    left = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(left)
