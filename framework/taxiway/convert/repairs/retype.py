"""Puts one type of reals in the place of another, everywhere in a model."""

from __future__ import annotations

from typing import Any

from taxiway.model.onnx_graph import subgraphs

_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "stash_type", "softmax_precision")


def tensors_of(model: Any, code: int) -> int:
    """How many inputs, outputs, initializers and nodes say the type `code`."""
    return _visit(model.graph, code, None)


def retype(model: Any, old: int, new: int) -> int:
    """Say `new` (a code of onnx.TensorProto) wherever `old` stands, and give how often it did.

    Constants are rounded to the new type, and stay finite where they were.
    """
    count = _visit(model.graph, old, new)
    if count:
        del model.graph.value_info[:]
    return count


def _visit(graph: Any, old: int, new: int | None) -> int:
    count = 0
    for value in (*graph.input, *graph.output):
        tensor = value.type.tensor_type
        if tensor.elem_type == old:
            count += 1
            tensor.elem_type = old if new is None else new
    for constant in graph.initializer:
        count += _constant(constant, old, new)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in _TYPE_ATTRIBUTES and attribute.i == old:
                count += 1
                attribute.i = old if new is None else new
            if attribute.HasField("t"):
                count += _constant(attribute.t, old, new)
        for child in subgraphs(node):
            count += _visit(child, old, new)
            if new is not None:
                del child.value_info[:]
    return count


def _constant(tensor: Any, old: int, new: int | None) -> int:
    import numpy as np
    from onnx import helper, numpy_helper

    if tensor.data_type != old:
        return 0
    if new is not None:
        dtype = helper.tensor_dtype_to_np_dtype(new)
        array = numpy_helper.to_array(tensor)
        largest = np.finfo(dtype).max
        inside = np.where(np.isfinite(array), np.clip(array, -largest, largest), array)
        tensor.CopyFrom(numpy_helper.from_array(inside.astype(dtype), tensor.name))
    return 1
