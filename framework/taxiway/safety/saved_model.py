"""The gate of a SavedModel: every op must be one that only computes, functions included."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from taxiway.safety.protobuf import Malformed, opened
from taxiway.safety.tensorflow_graph import MAIN, Graph, Node, graphs
from taxiway.safety.tensorflow_ops import SAVER, TABLE_FILE, why_not

_PATH = re.compile(r"^/.|^~|^[A-Za-z]:[\\/]|(^|[\\/])\.\.([\\/]|$)|[A-Za-z0-9]+://", re.MULTILINE)


def findings(path: Path) -> list[str]:
    """What is unsafe in the folder, one line each. TensorFlow is not imported."""
    found = list(_unsafe_files(path))
    if found:
        return found
    try:
        with opened(path / "saved_model.pb") as data:
            found = [finding for graph in graphs(data) for finding in _judge(graph)]
    except Malformed as error:
        return [f"saved_model.pb is no readable protobuf: {error}"]
    except RecursionError:
        return ["saved_model.pb is nested too deeply"]
    return list(dict.fromkeys(found))


def _unsafe_files(path: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            entry = Path(folder, name)
            where = entry.relative_to(path).as_posix()
            if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
                yield f"{where} is a link or no regular file"
            elif entry.is_file() and entry.stat().st_nlink > 1:
                yield f"{where} has more than one hard link"
    for other in ("saved_model.pbtxt", "saved_model.cpb"):
        if (path / other).exists():
            yield f"{other} is a second graph, which this gate does not read"
    if not (path / "saved_model.pb").is_file():
        yield "it has no saved_model.pb"


def _judge(graph: Graph) -> Iterator[str]:
    for name, nodes in graph.functions.items():
        where = name if name == MAIN else f"function {name}"
        for node in nodes:
            for op in node.ops:
                reason = why_not(op, graph.functions)
                if reason:
                    yield f"op {op} (node '{node.name}' in {where}) {reason}"
            for stream in node.strings("output_stream", 2):
                if stream.startswith("file:"):
                    yield f"op PrintV2 (node '{node.name}' in {where}) writes to a file"
    yield from _checkpoints(graph)
    yield from _tables(graph)


def _checkpoints(graph: Graph) -> Iterator[str]:
    """Ops that read or write checkpoints may only serve the saver, with the file name it is given.

    A normal SavedModel holds them in functions that the saver's own nodes alone call; TensorFlow 1
    holds them in the main graph.
    """
    direct = {name for name, nodes in graph.functions.items() if _using(nodes, SAVER)}
    reaching = _callers(graph, direct)
    for name in sorted(graph.exposed & reaching):
        yield f"function {name} reads or writes checkpoints outside the saver"
    for node in graph.functions[MAIN]:
        if node.calls & (reaching - {MAIN}) and node.name not in graph.saver_nodes:
            yield f"node '{node.name}' in {MAIN} reads or writes checkpoints outside the saver"
    if MAIN in direct and graph.object_based:
        yield f"{MAIN} reads or writes checkpoints outside the saver"
    for name in sorted(reaching | ({MAIN} if not graph.object_based and reaching else set())):
        for constant in _paths(graph, name):
            yield f"{name} reads or writes the checkpoint {constant!r}, a path of its own"


def _tables(graph: Graph) -> Iterator[str]:
    """A table that is filled from a file must take it from the SavedModel's own assets."""
    for file in graph.asset_files:
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts or "\\" in file:
            yield f"asset {file!r} lies outside the SavedModel"
    users = {name: _using(nodes, TABLE_FILE) for name, nodes in graph.functions.items()}
    if not any(users.values()):
        return
    for name, nodes in graph.functions.items():
        used = {edge.lstrip("^").partition(":")[0] for node in users[name] for edge in node.inputs}
        local = [
            n for n in nodes if n.name in used and n.constants and n.name not in graph.asset_nodes
        ]
        for node in local:
            yield f"op InitializeTableFromTextFile in {name} reads {node.constants[0]!r}, no asset"
    for constant in _paths(graph, MAIN):
        yield f"{MAIN} holds the path {constant!r}, no asset, beside a table read from a file"


def _callers(graph: Graph, called: set[str]) -> set[str]:
    """`called`, and every function but the main graph that calls one of them, at any depth."""
    callers: dict[str, set[str]] = {}
    for name, nodes in graph.functions.items():
        if name != MAIN:
            for callee in {call for node in nodes for call in node.calls}:
                callers.setdefault(callee, set()).add(name)
    found, stack = set(called), list(called)
    while stack:
        new = callers.get(stack.pop(), set()) - found
        found |= new
        stack += new
    return found


def _using(nodes: list[Node], ops: frozenset[str]) -> list[Node]:
    return [node for node in nodes if not ops.isdisjoint(node.ops)]


def _paths(graph: Graph, function: str) -> list[str]:
    """String constants of a function that name a place outside the working folder."""
    return [
        constant
        for node in graph.functions[function]
        if not (function == MAIN and node.name in graph.asset_nodes)
        for constant in node.constants
        if _PATH.search(constant)
    ]
