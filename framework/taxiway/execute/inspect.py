"""The signature of a model file, read in a worker: first its gate, then its format's library."""

from __future__ import annotations

import tempfile
from pathlib import Path

from taxiway.compose.recipe_config import Limits
from taxiway.execute.limits import StepLimits
from taxiway.execute.worker import Worker
from taxiway.model import Model
from taxiway.model.formats import detect


def inspect_model(path: Path) -> Model:
    """The model at `path`, by its content. The parent process imports no model library.

    Raises StepError where it is no model that Taxiway knows, SafetyError where the gate refuses it.
    """
    format = detect(path)
    with tempfile.TemporaryDirectory(prefix="taxiway-") as scratch:
        workdir = Path(scratch) / "files"
        workdir.mkdir()
        task = {
            "name": f"reading {path.name}",
            "section": "source",
            "plugin": format,
            "takes": None,
            "options": {"type": format, "path": str(path.resolve())},
            "workdir": str(workdir),
            "seed": 0,
        }
        with Worker(StepLimits.of(Limits()), Path(scratch) / "worker.log") as worker:
            answer = worker.run(f"reading {path.name}", task, lambda done, total, unit: None)
        copied = Model.from_dict(answer["model"], workdir)
    return Model(format=format, path=path, signature=copied.signature)
