"""The gate of a file in ONNX Runtime's own format: its structure, and its operators.

Taxiway makes such files and takes none from others, for the runtime trusts what one says of its kernels;
the gate holds what is deployed against the same lists as ONNX.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from taxiway.safety.allowlist import allowlist
from taxiway.safety.flatbuffer import Malformed, Table, mapped
from taxiway.safety.onnx_model import known_ops

IDENTIFIER = b"ORTM"
MAX_LISTED = 20


def opened(path: Path) -> AbstractContextManager[Table]:
    """The verified InferenceSession table. Raises Malformed."""
    return mapped(path, IDENTIFIER, "InferenceSession", allowlist("ort_schema"))


def findings(path: Path) -> list[str]:
    """What is unsafe in the file, one line each; the runtime is not started."""
    try:
        with opened(path) as session:
            found = list(dict.fromkeys(_judge(session)))
    except Malformed as error:
        return [f"it is no readable ORT model: {error}"]
    return found[:MAX_LISTED]


def graphs(session: Table) -> Iterator[Table]:
    """The model's graph, and those of control flow within it."""
    model = session.table("Model")
    graph = model.table("Graph") if model else None
    stack = [graph] if graph else []
    while stack:
        graph = stack.pop()
        yield graph
        for node in graph.tables("Nodes"):
            for attribute in node.tables("Attributes"):
                inner = attribute.table("G")
                stack += [inner] if inner else []
                stack += attribute.tables("Graphs")


def _judge(session: Table) -> Iterator[str]:
    found = list(graphs(session))
    if not found:
        yield "it has no graph"
    for graph in found:
        for node in graph.tables("Nodes"):
            domain, name = node.text("Domain"), node.text("OpType")
            if name == "EPContext" or name not in known_ops().get(domain, ()):
                yield f"op {name} of domain '{domain or 'ai.onnx'}' is none that ONNX Runtime brings"
        for tensor in graph.tables("Initializers"):
            if tensor.holds("ExternalDataOffset") and tensor.value("ExternalDataOffset") >= 0:
                yield f"tensor '{tensor.text('Name')}' is in another file"
