"""Walks over an ONNX graph and the graphs within it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def subgraphs(node: Any) -> Iterator[Any]:
    """The graphs in the attributes of a node: branches and loop bodies."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def rename(graph: Any, old: str, new: str) -> None:
    """Call a tensor `new` wherever a node of the graph, or of a graph within, reads or gives it.

    The graph's own inputs and outputs keep their names.
    """
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
        for child in subgraphs(node):
            rename(child, old, new)
            for value in child.output:
                value.name = new if value.name == old else value.name


def nodes_of(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of the graphs in their attributes."""
    for node in graph.node:
        yield node
        for child in subgraphs(node):
            yield from nodes_of(child)


def forget_shapes(graph: Any) -> None:
    """Drop the shapes noted in between, where they are those of before a change."""
    del graph.value_info[:]
    for node in graph.node:
        for child in subgraphs(node):
            forget_shapes(child)
