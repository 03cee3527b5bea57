"""Where an ONNX graph has the channels of its images, and transposes at its ends.

ONNX convolves, pools and normalizes with channels second; a graph that takes images with channels
last begins with a Transpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from taxiway.errors import StepError
from taxiway.model.layout import RANKS, axes_to, other, require_images, with_layout
from taxiway.model.model import Layout, Signature, TensorSpec
from taxiway.model.onnx_graph import forget_shapes, rename, subgraphs

CHANNELS_SECOND = frozenset(
    {
        *("Conv", "ConvTranspose", "QLinearConv", "ConvInteger", "DeformConv", "FusedConv"),
        *("MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool"),
        *("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN"),
        *("DepthToSpace", "SpaceToDepth", "QLinearAveragePool", "QLinearGlobalAveragePool"),
    }
)
PASSED = frozenset(
    {
        *("Identity", "Cast", "Add", "Sub", "Mul", "Div", "Neg", "Clip", "Relu", "LeakyRelu"),
        *("Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Elu", "PRelu", "Exp", "Sqrt", "Pow"),
        *("QuantizeLinear", "DequantizeLinear", "Pad", "Resize", "Dropout", "Softmax", "Concat"),
    }
)
"""Ops that leave the axes where they are."""
FEW_CHANNELS = range(1, 5)
"""Grey, grey with alpha, colour, colour with alpha."""


def lay_out(graph: Any, signature: Signature, layout: Layout, option: str) -> Signature:
    """Let images at the ends of `graph` have their channels where `layout` has them; give the signature
    that the file has then.

    option: what the recipe calls the wish, for the hint. Raises StepError where there are no images, and
    for those whose channels cannot be found.
    """
    inputs, outputs = ({value.name: value for value in v} for v in (graph.input, graph.output))
    require_images(signature, layout, option)
    has: dict[str, Layout] = {}
    for spec in signature.inputs:
        found = layout_of_input(graph, inputs[spec.name])
        if found is None and len(spec.shape) in RANKS:
            raise StepError(
                f"it is not clear which axis of input '{spec.name}' holds the channels ({spec})",
                f"leave {option} out, and transpose in the model itself",
            )
        if found and found != layout:
            has[spec.name] = found
    ends: dict[str, Layout] = {}
    for spec in signature.outputs:
        found = layout_of_output(graph, outputs[spec.name])
        if found and found != layout:
            ends[spec.name] = found
    for name, found in has.items():
        transpose_input(graph, inputs[name], found)
    for name, found in ends.items():
        transpose_output(graph, outputs[name], found)
    forget_shapes(graph)

    def moved(specs: tuple[TensorSpec, ...], names: dict[str, Layout]) -> tuple[TensorSpec, ...]:
        return tuple(with_layout(s, layout) if s.name in names else s for s in specs)

    return replace(
        signature, inputs=moved(signature.inputs, has), outputs=moved(signature.outputs, ends)
    )


def layout_of_input(graph: Any, value: Any) -> Layout | None:
    """Told by the first op that knows of channels, else by the one axis that is as small as colours."""
    rank = _rank(value)
    if rank not in RANKS:
        return None
    pending, seen = [value.name], set()
    while pending:
        name = pending.pop()
        seen.add(name)
        for node in _readers(graph, name):
            if node.op_type == "Transpose":
                if _axes(node) == axes_to("nchw", rank):
                    return "nhwc"
            elif node.op_type in CHANNELS_SECOND and node.input[0] == name:
                return "nchw"
            elif node.op_type in PASSED:
                pending += [output for output in node.output if output and output not in seen]
    dims = value.type.tensor_type.shape.dim
    second, last = (dims[axis].dim_value in FEW_CHANNELS for axis in (1, -1))
    return None if second == last else "nchw" if second else "nhwc"


def layout_of_output(graph: Any, value: Any) -> Layout | None:
    """Told by the last op that knows of channels; None where there is none, as in attention maps."""
    rank = _rank(value)
    if rank not in RANKS:
        return None
    makers = {name: node for node in graph.node for name in node.output if name}
    pending, seen = [value.name], set()
    while pending:
        name = pending.pop()
        seen.add(name)
        node = makers.get(name)
        if node is None:
            continue
        if node.op_type == "Transpose" and _axes(node) == axes_to("nhwc", rank):
            return "nhwc"
        if node.op_type in CHANNELS_SECOND:
            return "nchw"
        if node.op_type in PASSED:
            pending += [read for read in node.input if read and read not in seen]
    return None


def transpose_input(graph: Any, value: Any, has: Layout) -> None:
    """Let the input take the other layout than the one the graph `has` there."""
    from onnx import helper

    rank, inside = _rank(value), f"{value.name}__{has}"
    rename(graph, value.name, inside)
    cancelled = [
        node
        for node in graph.node
        if node.op_type == "Transpose"
        and node.input[0] == inside
        and _axes(node) == axes_to(other(has), rank)
    ]
    outputs = {output.name for output in graph.output}
    for node in cancelled:
        if node.output[0] not in outputs:
            graph.node.remove(node)
            rename(graph, node.output[0], value.name)
    if any(_readers(graph, inside)) or inside in outputs:
        axes = axes_to(has, rank)
        node = helper.make_node("Transpose", [value.name], [inside], f"{inside}_t", perm=axes)
        graph.node.insert(0, node)
    _permute(value, axes_to(other(has), rank))


def transpose_output(graph: Any, value: Any, has: Layout) -> None:
    """Let the output give the other layout than the one the graph `has` there."""
    from onnx import helper

    rank, inside = _rank(value), f"{value.name}__{has}"
    rename(graph, value.name, inside)
    maker = next((node for node in graph.node if inside in node.output), None)
    fixed = {tensor.name for tensor in (*graph.input, *graph.output, *graph.initializer)}
    if (
        maker is not None
        and maker.op_type == "Transpose"
        and _axes(maker) == axes_to(has, rank)
        and maker.input[0] not in fixed
        and not any(_readers(graph, inside))
    ):
        graph.node.remove(maker)
        rename(graph, maker.input[0], value.name)
    else:
        axes = axes_to(other(has), rank)
        graph.node.append(
            helper.make_node("Transpose", [inside], [value.name], f"{inside}_t", perm=axes)
        )
    _permute(value, axes_to(other(has), rank))


def _rank(value: Any) -> int:
    return len(value.type.tensor_type.shape.dim) if value.type.HasField("tensor_type") else 0


def _axes(node: Any) -> tuple[int, ...]:
    return tuple(axis for entry in node.attribute if entry.name == "perm" for axis in entry.ints)


def _readers(graph: Any, name: str) -> Iterator[Any]:
    for node in graph.node:
        if name in node.input or any(_reads(child, name) for child in subgraphs(node)):
            yield node


def _reads(graph: Any, name: str) -> bool:
    return any(value.name == name for value in graph.output) or any(_readers(graph, name))


def _permute(value: Any, axes: tuple[int, ...]) -> None:
    shape = value.type.tensor_type.shape
    dims = [type(dim).FromString(dim.SerializeToString()) for dim in shape.dim]
    del shape.dim[:]
    shape.dim.extend(dims[axis] for axis in axes)
