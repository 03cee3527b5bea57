"""Constants of an ONNX graph: which node reads which, and what nothing reads."""

from __future__ import annotations

from typing import Any

from taxiway.optimize.quantize.onnx.graph import captured


def lift_constants(graph: Any) -> None:
    """Make initializers of the float tensors that nodes of type Constant hold."""
    from onnx import TensorProto

    nodes = []
    for node in graph.node:
        held = [a.t for a in node.attribute if a.name == "value"]
        if node.op_type == "Constant" and held and held[0].data_type == TensorProto.FLOAT:
            tensor = graph.initializer.add()
            tensor.CopyFrom(held[0])
            tensor.name = node.output[0]
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def own_weights(graph: Any, chosen: set[str]) -> None:
    """Give a node its own copy of a constant that one of `chosen` reads, too: a node that stays float
    of any, a node of `chosen` of its bias, whose scale depends on the node's input."""
    held = {tensor.name: tensor for tensor in graph.initializer}
    shared = {n for node in graph.node if node.name in chosen for n in node.input if n in held}
    taken = {*held, *(n for node in graph.node for n in (*node.input, *node.output))}
    biased = {"Conv", "ConvTranspose", "Gemm"}
    owners: set[str] = set()
    copies: dict[str, str] = {}
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name not in shared:
                continue
            if node.name in chosen:
                bias = index == 2 and node.op_type in biased
                if not bias or name not in owners:
                    owners.update([name] if bias else [])
                    continue
                copy = _copied(graph, held[name], taken)
            else:
                copy = copies.get(name) or _copied(graph, held[name], taken)
                copies[name] = copy
            node.input[index] = copy


def _copied(graph: Any, tensor: Any, taken: set[str]) -> str:
    """The name of a new copy of an initializer."""
    name, count = f"{tensor.name}_copy", 1
    while name in taken:
        count += 1
        name = f"{tensor.name}_copy{count}"
    taken.add(name)
    copy = graph.initializer.add()
    copy.CopyFrom(tensor)
    copy.name = name
    return name


def drop_unread(graph: Any) -> None:
    """Drop casts, and then initializers, that nothing reads."""
    read = {name for node in graph.node for name in node.input} | captured(graph)
    read |= {value.name for value in graph.output}
    nodes = [n for n in graph.node if n.op_type != "Cast" or n.output[0] in read]
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    if len(nodes) != len(graph.node):
        del graph.node[:]
        graph.node.extend(nodes)
    if len(kept) != len(graph.initializer):
        del graph.initializer[:]
        graph.initializer.extend(kept)
