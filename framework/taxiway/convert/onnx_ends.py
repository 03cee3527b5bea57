"""Inputs and outputs of an ONNX graph as a recipe wants them: sizes, order of the axes, dtype."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from taxiway.convert.ends import (
    FLOATS,
    EndsConfig,
    with_dtype,
    with_sizes,
)
from taxiway.model import Layout, Model, TensorSpec
from taxiway.model.onnx_graph import forget_shapes, rename
from taxiway.model.onnx_layout import lay_out


def shape_ends(proto: Any, model: Model, options: EndsConfig) -> Model:
    """Change the graph of `proto`, which computes `model`, in place; give what it must now be.

    Names and order stay. Raises StepError for a dimension there is not, and for images whose
    channels cannot be found.
    """
    graph = proto.graph
    wanted = with_sizes(model, options)
    if options.sizes:
        _resize(graph, model, wanted)
    if options.io_layout:
        wanted = _lay_out(graph, wanted, options.io_layout)
    if options.io_dtype:
        wanted = _cast(graph, wanted, options)
    return wanted


def _resize(graph: Any, model: Model, wanted: Model) -> None:
    before, after = model.signature, wanted.signature
    values = _by_name(graph.input)
    for spec in after.inputs:
        if spec.shape != next(old.shape for old in before.inputs if old.name == spec.name):
            _set_shape(values[spec.name], spec.shape)
    values = _by_name(graph.output)
    for old, new in zip(before.outputs, after.outputs, strict=True):
        if old.shape != new.shape:
            _set_shape(values[new.name], new.shape)
    forget_shapes(graph)


def forget_output_sizes(graph: Any) -> None:
    """Another size of an input may be another of an output: that is found by running the model."""
    for value in graph.output:
        for dim in value.type.tensor_type.shape.dim:
            dim.Clear()


def set_output_shapes(graph: Any, outputs: tuple[TensorSpec, ...]) -> None:
    values = _by_name(graph.output)
    for spec in outputs:
        if spec.is_tensor:
            _set_shape(values[spec.name], spec.shape)


def _set_shape(value: Any, shape: tuple[int | str, ...]) -> None:
    if "..." in shape:
        return
    dims = value.type.tensor_type.shape.dim
    for dim, size in zip(dims, shape, strict=True):
        dim.Clear()
        if isinstance(size, int):
            dim.dim_value = size
        else:
            dim.dim_param = size


def _lay_out(graph: Any, model: Model, layout: Layout) -> Model:
    return replace(model, signature=lay_out(graph, model.signature, layout, "convert.io_layout"))


def _cast(graph: Any, model: Model, options: EndsConfig) -> Model:
    from onnx import TensorProto, helper

    codes = {
        "float16": TensorProto.FLOAT16,
        "float32": TensorProto.FLOAT,
        "float64": TensorProto.DOUBLE,
        "bfloat16": TensorProto.BFLOAT16,
    }
    assert options.io_dtype
    to = codes[options.io_dtype]
    inputs, outputs = _by_name(graph.input), _by_name(graph.output)
    for spec in model.signature.inputs:
        if spec.dtype in FLOATS and spec.dtype != options.io_dtype:
            inside = f"{spec.name}__{spec.dtype}"
            rename(graph, spec.name, inside)
            inputs[spec.name].type.tensor_type.elem_type = to
            node = helper.make_node(
                "Cast", [spec.name], [inside], f"{inside}_c", to=codes[spec.dtype]
            )
            graph.node.insert(0, node)
    for spec in model.signature.outputs:
        if spec.dtype in FLOATS and spec.dtype != options.io_dtype:
            inside, value = f"{spec.name}__{spec.dtype}", outputs[spec.name]
            rename(graph, spec.name, inside)
            value.type.tensor_type.elem_type = to
            graph.node.append(helper.make_node("Cast", [inside], [spec.name], f"{inside}_c", to=to))
    signature = replace(
        model.signature,
        inputs=tuple(with_dtype(spec, options) for spec in model.signature.inputs),
        outputs=tuple(with_dtype(spec, options) for spec in model.signature.outputs),
    )
    return replace(model, signature=signature)


def _by_name(values: Any) -> dict[str, Any]:
    return {value.name: value for value in values}
