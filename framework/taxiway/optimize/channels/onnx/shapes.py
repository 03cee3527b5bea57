"""Shapes of all tensors of an ONNX graph, with a size in place of each free axis."""

from __future__ import annotations

from typing import Any

Shape = tuple[tuple[int, ...], tuple[bool, ...]]
"""Sizes, and which of them are free."""

_SIZES = ((7, 224), (11, 256))
"""(first axis, other axes) in place of free ones; what differs between the two is free."""


def shapes_of(proto: Any) -> dict[str, Shape]:
    """Name -> shape, for the tensors whose shape ONNX can infer."""
    first, second = (_inferred(proto, *sizes) for sizes in _SIZES)
    return {
        name: (
            shape,
            tuple(a != b for a, b in zip(shape, second.get(name, shape), strict=True))
            if len(second.get(name, shape)) == len(shape)
            else (True,) * len(shape),
        )
        for name, shape in first.items()
    }


def _inferred(proto: Any, batch: int, other: int) -> dict[str, tuple[int, ...]]:
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    graph = copy.graph
    constants = {tensor.name for tensor in graph.initializer}
    named: dict[str, int] = {}
    for value in graph.input:
        if value.name in constants:
            continue
        for at, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value"):
                size = batch if at == 0 else other
                # One name is one size, wherever it stands.
                dim.dim_value = named.setdefault(dim.dim_param, size) if dim.dim_param else size
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(copy, data_prop=True).graph
    except Exception:
        # Nothing is known then, and so nothing is cut.
        return {}
    found = {}
    for value in [*inferred.input, *inferred.value_info, *inferred.output]:
        tensor = value.type.tensor_type
        dims = tensor.shape.dim
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            found[value.name] = tuple(dim.dim_value for dim in dims)
    return found | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
