"""Weights of a graph stand aside as inputs while a library rewrites it: large ones, so that they are never
read, and those stored in few bits, so that they stay so."""

from __future__ import annotations

from typing import Any

from taxiway.model.onnx_graph import nodes_of


def narrow(graph: Any) -> set[str]:
    """Names of the weights that a Cast reads: stored in few bits, and widened while the model runs.

    Folding that Cast would store them in many bits again.
    """
    constants = {tensor.name for tensor in graph.initializer}
    casts = {name for node in graph.node if node.op_type == "Cast" for name in node.input}
    return constants & casts


def hold_aside(proto: Any) -> list[Any]:
    """Make every initializer whose data is in another file, and every narrow one, an input of the graph;
    give what they were.

    A library folds no constants into an input, and keeps its name.
    """
    from onnx import TensorProto, helper

    graph = proto.graph
    few_bits = narrow(graph)
    held = [
        tensor
        for tensor in graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL or tensor.name in few_bits
    ]
    copies = [TensorProto.FromString(tensor.SerializeToString()) for tensor in held]
    names = {tensor.name for tensor in held}
    kept = [t for t in graph.initializer if t.name not in names]
    kept = [TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    known = {value.name for value in graph.input}
    for tensor in copies:
        if tensor.name not in known:
            graph.input.append(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )
    return copies


def put_back(proto: Any, held: list[Any]) -> None:
    """Make the held weights that nodes still read initializers again; they are no inputs any more."""
    graph = proto.graph
    names = {tensor.name for tensor in held}
    inputs = [value for value in graph.input if value.name not in names]
    read = {name for node in nodes_of(graph) for name in node.input}
    read |= {value.name for value in graph.output}
    del graph.input[:]
    graph.input.extend(inputs)
    graph.initializer.extend(tensor for tensor in held if tensor.name in read)
