"""Names and order that follow from an ONNX graph's structure alone.

tf2onnx walks sets and counts what it adds, so equal models come out in another order and under
other names in each process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taxiway.model.onnx_graph import subgraphs


def rename_tensors(graph: Any, names: Mapping[str, str]) -> None:
    """Replace tensor names everywhere in the graph, its subgraphs included, all at once."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for child in subgraphs(node):
            rename_tensors(child, names)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)


def make_canonical(graph: Any) -> None:
    """Sort nodes depth first from the outputs, drop what no output needs, and call nodes
    `<Op>_<n>` and tensors after the node that gives or first takes them.

    Inputs and outputs of the graph keep their names; shapes noted in between are dropped.
    """
    kept = {value.name: value.name for value in (*graph.input, *graph.output)}
    _canonical(graph, kept, "")


def _canonical(graph: Any, names: dict[str, str], prefix: str) -> None:
    order = _depth_first(graph)
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    used: list[str] = []
    for count, node in enumerate(order):
        if not node.domain:
            node.ClearField("domain")
        node.name = f"{prefix}{node.op_type}_{count}"
        for position, name in enumerate(_reads(node)):
            if name in initializers:
                used.append(name)
                names.setdefault(name, f"{node.name}_input_{position}")
        for position, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}_output_{position}")
        for position, child in enumerate(subgraphs(node)):
            scope = f"{node.name}_{position}_"
            child.name = f"{node.name}_{position}"
            own = {v.name: f"{scope}input_{i}" for i, v in enumerate(child.input)}
            _canonical(child, names | own, scope)
        node.input[:] = [names[name] if name else "" for name in node.input]
        node.output[:] = [names[name] if name else "" for name in node.output]
    used += [value.name for value in graph.output if value.name in initializers]
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
    kept = [initializers[name] for name in dict.fromkeys(used)]
    for tensor in kept:
        tensor.name = names[tensor.name]
        tensor.doc_string = ""
    _replace(graph.node, order)
    _replace(graph.initializer, kept)
    del graph.value_info[:]


def _replace(field: Any, values: list[Any]) -> None:
    copies = [type(value).FromString(value.SerializeToString()) for value in values]
    del field[:]
    field.extend(copies)


def _depth_first(graph: Any) -> list[Any]:
    """The nodes that the outputs need, each after what it reads."""
    producers = {name: node for node in graph.node for name in node.output if name}
    order: list[Any] = []
    done: set[str] = set()
    pending = [value.name for value in reversed(graph.output)]
    while pending:
        name = pending[-1]
        node = producers.get(name)
        missing = [
            read
            for read in (_reads(node) if node is not None else ())
            if read in producers and read not in done
        ]
        if node is None or name in done or not missing:
            pending.pop()
            if node is not None and name not in done:
                order.append(node)
                done.update(node.output)
        else:
            pending.extend(reversed(missing))
    return order


def _reads(node: Any) -> list[str]:
    """What a node and its subgraphs take from the graph around them, in order, without repeats."""
    reads = [name for name in node.input if name]
    for child in subgraphs(node):
        own = {value.name for value in (*child.input, *child.initializer)}
        own.update(name for inner in child.node for name in inner.output)
        inside = [name for inner in child.node for name in _reads(inner)]
        inside += [value.name for value in child.output]
        reads += [name for name in inside if name not in own]
    return list(dict.fromkeys(reads))
