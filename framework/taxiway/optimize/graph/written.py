"""The end of every pass over a graph: write, check, load, and tell what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.graph.changes import changes
from taxiway.optimize.result import optimized
from taxiway.plugins import Context


def written(proto: Any, model: Model, context: Context) -> Model:
    """The model of the changed graph `proto`, in `context.workdir`; what changed is told.

    model: what went in, with the signature that must come out. Weights in other files are there already.
    Raises StepError for what onnx.checker or the runtime say against the file.
    """
    from taxiway.model.onnx_file import check_structure, file_name, write_graph
    from taxiway.safety.onnx_model import external_files

    path = write_graph(proto, context.workdir / file_name(external_files(proto)))
    check_structure(path)
    result = optimized(model, path)
    sizes = {"before": model.size, "after": result.size}
    context.tell("graph", {**changes(model.path, path), "bytes": sizes})
    return result


def require_fewer(before: Path, result: Model, what: str, hint: str) -> Model:
    """The result; raises StepError where no operator of the file `before` is gone."""
    if not changes(before, result.path)["gone"]:
        raise StepError(f"{what} in {before.name}", hint)
    return result
