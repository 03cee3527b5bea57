"""Which other files an ONNX file names, read off the wire: a plan needs them, and loads no onnx."""

from __future__ import annotations

from pathlib import Path

from taxiway.safety.onnx_graph import Tensor, contents
from taxiway.safety.protobuf import Malformed, opened


def external_names(path: Path) -> list[str]:
    """The `location` of every tensor that is kept in another file, sorted; none where it is no ONNX."""
    try:
        with opened(path) as model:
            found = {
                part.external.get("location")
                for part in contents(model)
                if isinstance(part, Tensor)
            }
    except Malformed:
        return []
    return sorted(name for name in found if name is not None)
