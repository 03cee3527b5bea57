"""Folds the batch normalizations of an ONNX graph into the convolution or the product before them."""

from __future__ import annotations

from typing import Any

_FOLDS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0}
"""Operator -> axis of output channels of its weight (of a Gemm with transB)."""


def fold_batch_norm(proto: Any) -> int:
    """Fold in the ModelProto `proto`, in place, what can be folded, and give how many.

    Folded is a BatchNormalization of constants that alone reads a Conv, a ConvTranspose of one group or a
    Gemm whose weights are constants that nothing else reads.
    """
    graph = proto.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    readers: dict[str, int] = {}
    for name in _read(graph):
        readers[name] = readers.get(name, 0) + 1
    folded = 0
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        node = makers.get(norm.input[0])
        if node is not None and _fits(node, norm, constants, readers):
            folded += _fold(graph, node, norm, constants)
    if folded:
        _drop_unused(graph)
    return folded


def _fits(node: Any, norm: Any, constants: Any, readers: dict[str, int]) -> bool:
    settings = {item.name: item for item in node.attribute}
    plain = all(settings[name].f == 1 for name in ("alpha", "beta") if name in settings)
    one_group = (
        node.op_type != "ConvTranspose" or "group" not in settings or settings["group"].i == 1
    )
    return (
        node.op_type in _FOLDS
        and plain
        and one_group
        and readers[norm.input[0]] == 1
        and len([output for output in norm.output if output]) == 1
        and all(name in constants for name in (*norm.input[1:], *node.input[1:]))
        and all(readers[name] == 1 for name in node.input[1:])
    )


def _fold(graph: Any, node: Any, norm: Any, constants: Any) -> bool:
    import numpy as np
    import onnx

    arrays = [onnx.numpy_helper.to_array(constants[name]) for name in norm.input[1:]]
    gamma, beta, mean, variance = (array.astype(np.float64) for array in arrays)
    epsilon = next((item.f for item in norm.attribute if item.name == "epsilon"), 1e-5)
    factor = gamma / np.sqrt(variance + epsilon)
    weight = onnx.numpy_helper.to_array(constants[node.input[1]])
    axis = _FOLDS[node.op_type]
    if node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute):
        axis = 1
    if weight.shape[axis] != factor.size:
        return False
    shape = [-1 if at == axis else 1 for at in range(weight.ndim)]
    scaled = (weight * factor.reshape(shape)).astype(weight.dtype)
    constants[node.input[1]].CopyFrom(onnx.numpy_helper.from_array(scaled, node.input[1]))
    bias: Any = 0.0
    if len(node.input) > 2:
        bias = onnx.numpy_helper.to_array(constants[node.input[2]]).astype(np.float64)
    shifted = ((bias - mean) * factor + beta).astype(weight.dtype)
    if len(node.input) > 2:
        constants[node.input[2]].CopyFrom(onnx.numpy_helper.from_array(shifted, node.input[2]))
    else:
        name = f"{norm.output[0]}_folded_bias"
        graph.initializer.append(onnx.numpy_helper.from_array(shifted, name))
        node.input.append(name)
    node.output[0] = norm.output[0]
    graph.node.remove(norm)
    return True


def _drop_unused(graph: Any) -> None:
    """Remove constants that nothing reads; one that is an input, too, stays, for it is in the signature."""
    kept = {*_read(graph), *(item.name for item in graph.input)}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in kept]:
        graph.initializer.remove(tensor)


def _read(graph: Any) -> list[str]:
    """Every name that a node reads or the graph gives, once for each time."""
    names = [output.name for output in graph.output]
    for node in graph.node:
        names += [name for name in node.input if name]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                names += _read(inner)
    return names
