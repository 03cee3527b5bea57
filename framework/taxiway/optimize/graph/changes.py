"""What a pass over a graph changed: nodes by type, before and after."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any


def changes(before: Path, after: Path) -> dict[str, Any]:
    """`nodes` (before, after), `gone` and `new`: operator -> nodes, those of subgraphs included.

    An operator that is none of ONNX's own has its domain before it. Raises StepError for a file that is
    no ONNX model.
    """
    old, new = operators(before), operators(after)
    return {
        "nodes": {"before": old.total(), "after": new.total()},
        "gone": dict(sorted((old - new).items())),
        "new": dict(sorted((new - old).items())),
    }


def operators(path: Path) -> Counter[str]:
    """Operator -> nodes of an ONNX file."""
    from taxiway.model.operators import onnx_operators

    return Counter(
        {
            f"{domain}:{name}" if domain else name: count
            for (domain, name), count in onnx_operators(path).items()
        }
    )
