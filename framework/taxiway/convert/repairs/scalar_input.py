"""A model input without axes becomes one with one axis of size 1, squeezed inside."""

from __future__ import annotations

from typing import Any

from taxiway.convert.repairs.repair import Repair


def applies(model: Any) -> int:
    return len(_scalars(model.graph))


def _scalars(graph: Any) -> list[Any]:
    return [
        value
        for value in graph.input
        if value.type.tensor_type.HasField("shape") and not value.type.tensor_type.shape.dim
    ]


def apply(model: Any) -> int:
    import numpy as np
    from onnx import helper, numpy_helper

    graph = model.graph
    found = _scalars(graph)
    nodes = list(graph.node)
    del graph.node[:]
    for value in found:
        value.type.tensor_type.shape.dim.add().dim_value = 1
        inner, shape = f"{value.name}__scalar", f"{value.name}__no_axes"
        graph.initializer.append(numpy_helper.from_array(np.zeros(0, np.int64), shape))
        graph.node.append(helper.make_node("Reshape", [value.name, shape], [inner]))
        for node in nodes:
            node.input[:] = [inner if name == value.name else name for name in node.input]
    graph.node.extend(nodes)
    return len(found)


REPAIR = Repair(
    name="scalar_input",
    stage="before onnx2tf",
    about="onnx2tf makes Keras inputs, which always have a batch axis; an input without axes gets one "
    "of size 1, and a Reshape takes it off again.",
    source="onnx2tf/ops/Input.py (1.28.8) passes shape=[] to keras.Input, "
    "https://keras.io/api/layers/core_layers/input/",
    applies=applies,
    apply=apply,
)
