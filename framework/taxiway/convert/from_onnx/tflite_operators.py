"""Says in the words of the ONNX model what the TFLite converter could not convert."""

from __future__ import annotations

import re

from taxiway.convert.from_onnx.names import after
from taxiway.convert.from_onnx.prepare import Prepared
from taxiway.errors import StepError

_PLACE = re.compile(r'"([^"/]+)/[^"]*@__inference')
"""A location in the converter's messages: the name scope of a node comes first."""
_TYPES = re.compile(r"^\s+tf\.\w+\(([^)]*)\)", re.MULTILINE)
_ELEMENT = re.compile(r"[x<]!?(?:tf_type\.)?([a-z]+\d*)>")
_DTYPES = {"f": "float", "i": "int", "ui": "uint"}


def named(error: StepError, prepared: Prepared) -> StepError:
    """`error` of `convert_signature` with the nodes of the ONNX model that it is about, and the dtypes that
    they work on, where the converter's message tells."""
    message = str(error.__cause__ or error.message)
    known = prepared.renamed.nodes
    nodes = list(dict.fromkeys(p for p in _PLACE.findall(message) if p in known))
    if not nodes:
        ops = sorted({node.op_type for node in prepared.proto.graph.node})
        about = f"in the operators {', '.join(ops[:12])}{', ...' if len(ops) > 12 else ''}"
    else:
        shown = [known[node] for node in nodes[:5]]
        about = f"for {', '.join(shown)}{' and others' if len(nodes) > 5 else ''}"
    elements = dict.fromkeys(
        e for types in _TYPES.findall(message) for e in _ELEMENT.findall(types)
    )
    about += after(prepared.renamed.expanded)
    on = f" on {', '.join(map(_dtype, elements))}" if elements else ""
    return StepError(f"{error.message} ({about}{on})", error.hint)


def _dtype(element: str) -> str:
    """`f16` -> `float16`, `i1` -> `bool`, as MLIR writes them."""
    kind = element.rstrip("0123456789")
    bits = element.removeprefix(kind)
    return "bool" if element == "i1" else f"{_DTYPES.get(kind, kind)}{bits}"
