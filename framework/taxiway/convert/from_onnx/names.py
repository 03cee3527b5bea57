"""Names that Keras takes for layers, in place of what an exporter wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_FOREIGN = re.compile(r"[^A-Za-z0-9_.]+")


@dataclass
class Renamed:
    """What the parts of a graph were called before.

    tensors: new name -> old. nodes: new name -> `Op 'old'`, as messages show it. expanded: operators
    of the model that other ones took the place of.
    """

    tensors: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    expanded: tuple[str, ...] = ()

    def label(self, node: str | None) -> str:
        return self.nodes.get(node or "", f"node '{node}'") + after(self.expanded)


def after(expanded: Iterable[str]) -> str:
    """Where an operator may come from that the model itself does not have."""
    listed = ", ".join(expanded)
    return f" (after {listed} was expanded)" if listed else ""


def rename(graph: Any, expanded: tuple[str, ...] = ()) -> Renamed:
    """Give every tensor and node of `graph` a name of letters, digits, `_` and `.`, each once.

    A node without a name gets that of its operator. Subgraphs are not looked into: `prepare`
    refuses them.
    """
    renamed = Renamed(expanded=expanded)
    taken: set[str] = set()
    new: dict[str, str] = {"": ""}

    def tensor(old: str) -> str:
        if old not in new:
            new[old] = _free(old, "tensor", taken)
            renamed.tensors[new[old]] = old
        return new[old]

    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        value.name = tensor(value.name)
    for node in graph.node:
        node.input[:] = [tensor(name) for name in node.input]
        node.output[:] = [tensor(name) for name in node.output]
    for node in graph.node:
        label = f"{node.op_type} '{node.name}'" if node.name else node.op_type
        node.name = _free(node.name, node.op_type, taken)
        renamed.nodes[node.name] = label
    return renamed


def _free(old: str, default: str, taken: set[str]) -> str:
    stem = _FOREIGN.sub("_", old).strip("_.") or default
    name, count = stem, 1
    while name.lower() in taken:
        count += 1
        name = f"{stem}_{count}"
    taken.add(name.lower())
    return name
