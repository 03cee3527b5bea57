"""A Loop that runs a known number of times is written out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from taxiway.convert.repairs.known_values import KnownValues, computed
from taxiway.convert.repairs.repair import Repair
from taxiway.model.onnx_graph import subgraphs

LIMIT = 256
"""Passes of a loop; each becomes a copy of its body."""


@dataclass(frozen=True)
class _Copies:
    """nodes and constants that take the place of a Loop node."""

    nodes: list[Any]
    constants: list[Any]


def applies(model: Any) -> int:
    return len(_written_out(model))


def apply(model: Any) -> int:
    """Those in the main graph whose number of passes follows from constants and fixed sizes alone."""
    found = _written_out(model)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for at, node in enumerate(nodes):
        model.graph.node.extend(found[at].nodes if at in found else [node])
    for copies in found.values():
        model.graph.initializer.extend(copies.constants)
    return len(found)


def _written_out(model: Any) -> dict[int, _Copies]:
    import onnx

    loops = [at for at, node in enumerate(model.graph.node) if node.op_type == "Loop"]
    if not loops:
        return {}
    opset = next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx"))
    try:
        shapes = onnx.shape_inference.infer_shapes(model).graph
    except Exception:
        shapes = model.graph
    known = KnownValues(model.graph, shapes, opset)
    found = {}
    for at in loops:
        copies = _copies(model.graph.node[at], known, opset)
        if copies is not None:
            found[at] = copies
    return found


def _copies(loop: Any, known: KnownValues, opset: int) -> _Copies | None:
    import numpy as np
    from onnx import helper, numpy_helper

    body = next(a.g for a in loop.attribute if a.name == "body")
    if any(True for node in body.node for _ in subgraphs(node)):
        return None
    trips = known.value(loop.input[0]) if loop.input[0] else np.array(2**62)
    going = known.value(loop.input[1]) if len(loop.input) > 1 and loop.input[1] else np.array(True)
    if trips is None or going is None:
        return None
    carried = list(loop.input[2:])
    values = {name: known.value(name) for name in carried}
    initial = [tensor.name for tensor in body.initializer]
    fixed = {tensor.name: numpy_helper.to_array(tensor) for tensor in body.initializer}
    scanned: list[list[str]] = [[] for _ in body.output[1 + len(carried) :]]
    nodes: list[Any] = []
    constants: list[Any] = []
    stem = loop.output[0] or loop.output[-1]

    def constant(array: Any, name: str) -> str:
        constants.append(numpy_helper.from_array(array, name))
        return name

    new = {name: constant(fixed[name], f"{stem}__{name}") for name in initial}
    count = 0
    while bool(going) and count < int(np.asarray(trips).reshape(())):
        if count == LIMIT:
            return None
        number = np.array(count, np.int64)
        names = {**new, body.input[0].name: constant(number, f"{stem}__{count}__number")}
        names[body.input[1].name] = constant(np.array(True), f"{stem}__{count}__going")
        names |= {v.name: c for v, c in zip(body.input[2:], carried, strict=True)}
        worth = {**fixed, body.input[0].name: number, body.input[1].name: np.array(True)}
        worth |= {v.name: values[c] for v, c in zip(body.input[2:], carried, strict=True)}
        for place, node in enumerate(body.node):
            copy = type(node)()
            copy.CopyFrom(node)
            given = [
                (worth[n] if n in worth else None if n in names else known.value(n)) if n else None
                for n in node.input
            ]
            full = all(array is not None for n, array in zip(node.input, given, strict=True) if n)
            results = computed(node, given, opset) if full else None
            for position, name in enumerate(node.output):
                names[name] = f"{stem}__{count}__{name}" if name else ""
                worth[name] = results[position] if results else None
            copy.input[:] = [names.get(name, name) for name in node.input]
            copy.output[:] = [names[name] for name in node.output]
            copy.name = f"{node.name or node.op_type}__{stem}__{count}_{place}"
            nodes.append(copy)
        after = [output.name for output in body.output]
        going = worth[after[0]] if after[0] in worth else known.value(after[0])
        if going is None:
            return None
        states = after[1 : 1 + len(carried)]
        carried = [names.get(name, name) for name in states]
        values = {
            c: worth[s] if s in worth else known.value(s)
            for c, s in zip(carried, states, strict=True)
        }
        for column, name in zip(scanned, after[1 + len(carried) :], strict=True):
            column.append(names.get(name, name))
        count += 1
    if count == 0:
        return None
    axis = constant(np.array([0]), f"{stem}__axis")
    for name, value in zip(loop.output, carried, strict=False):
        if name:
            nodes.append(helper.make_node("Identity", [value], [name]))
    for name, column in zip(loop.output[len(carried) :], scanned, strict=False):
        if name:
            rows = [f"{value}__row_{name}" for value in column]
            for value, row in zip(column, rows, strict=True):
                nodes.append(helper.make_node("Unsqueeze", [value, axis], [row]))
            nodes.append(helper.make_node("Concat", rows, [name], axis=0))
    return _Copies(nodes, constants)


REPAIR = Repair(
    name="unroll_loop",
    stage="before onnx2tf",
    about="onnx2tf takes no Loop into a graph with a free batch; one of a known number of passes, up to "
    f"{LIMIT}, is written out (tf2onnx leaves Keras 3's GRU as such a Loop).",
    source="https://onnx.ai/onnx/operators/onnx__Loop.html",
    applies=applies,
    apply=apply,
)
