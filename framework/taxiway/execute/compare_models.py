"""Two model files of any formats, compared as a run compares a step's result with its input.

Everything that opens a model happens in a worker: its safety gate, a copy, the proof.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxiway.author import starter_data
from taxiway.compose.recipe_config import Limits
from taxiway.data.archive import NpzArchive
from taxiway.errors import StepError, UsageError
from taxiway.execute.folder import WORKER_LOG, RunFolder
from taxiway.execute.limits import StepLimits
from taxiway.execute.worker import Worker
from taxiway.model import Model
from taxiway.model.formats import detect

_SPLIT = "samples"


@dataclass(frozen=True)
class Samples:
    """Where the samples come from.

    data: a .npz; None for random ones. inputs: model input -> array; empty to guess by names,
    shapes and dtypes. split: arrays of another use, told by a part of their names, such as `train`.
    """

    count: int = 32
    data: Path | None = None
    inputs: Mapping[str, str] | None = None
    split: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Comparison:
    """What the proof said, and the folder that holds its reproducer and the worker's log."""

    reference: Model
    candidate: Model
    figures: Mapping[str, Any]
    folder: Path

    @property
    def equal(self) -> bool:
        return bool(self.figures["equal"])


Tell = Callable[[str, int, int | None], None]
"""`tell(what, done, total)`: what is going on, and how far it is; total None where unknown."""


def compare_models(
    reference: Path, candidate: Path, samples: Samples, folder: RunFolder, tell: Tell
) -> Comparison:
    """Compare `candidate` with `reference` on the same samples.

    Raises SafetyError where a gate refuses a file, StepError where one cannot be loaded or run.
    """
    limits = StepLimits.of(Limits())
    with (
        tempfile.TemporaryDirectory(prefix="taxiway-") as scratch,
        Worker(limits, folder.path / WORKER_LOG) as worker,
    ):
        both = [
            _admitted(path, Path(scratch) / name, worker, tell)
            for path, name in ((reference, "reference"), (candidate, "candidate"))
        ]
        task = {
            "name": "parity",
            "section": "parity",
            "plugin": "outputs",
            "takes": both[1].format,
            "options": _options(samples),
            "workdir": str(folder.path),
            "seed": samples.seed,
            "reference": _given(both[0], Path(scratch)),
            "model": _given(both[1], Path(scratch)),
            "data": _data(both[0], samples),
        }
        tell("comparing", 0, None)
        answer = worker.run(
            "comparing", task, lambda done, total, unit: tell("comparing", done, total)
        )
    return Comparison(both[0], both[1], figures=answer["figures"], folder=folder.path)


def _admitted(path: Path, workdir: Path, worker: Worker, tell: Tell) -> Model:
    """A copy of the model that its gate passed: what was checked is what runs."""
    format = detect(path)
    tell(f"reading {path.name}", 0, None)
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
    answer = worker.run(f"reading {path.name}", task, lambda done, total, unit: None)
    return Model.from_dict(answer["model"], workdir)


def _given(model: Model, root: Path) -> dict[str, Any]:
    return {"model": model.to_dict(root), "root": str(root)}


def _options(samples: Samples) -> dict[str, Any]:
    split = None if samples.data is None else _SPLIT
    return {
        "type": "outputs",
        "split": split,
        "samples": samples.count,
        "allow_random": samples.data is None,
    }


def _data(reference: Model, samples: Samples) -> dict[str, Any] | None:
    if samples.data is None:
        return None
    if not samples.data.is_file():
        raise StepError(f"no file at {samples.data}", "--data takes a .npz archive")
    inputs = dict(samples.inputs or {}) or _guessed(reference, samples)
    return {
        "plugin": "npz",
        "options": {
            "type": "npz",
            "path": str(samples.data.resolve()),
            "dtype": "keep",
            "splits": {_SPLIT: {"inputs": inputs}},
        },
    }


def _guessed(reference: Model, samples: Samples) -> dict[str, str]:
    assert samples.data is not None
    names = [spec.name for spec in reference.signature.inputs]
    if samples.split is None and {*names} <= {*NpzArchive(samples.data).names}:
        return {name: name for name in names}
    guess = starter_data.guess(samples.data, reference.signature)
    sides = [side for side in (guess.inputs, guess.calibration) if side]
    for side in sides:
        if samples.split is None or all(samples.split in array.name for array in side.values()):
            return {name: array.name for name, array in side.items()}
    raise UsageError(
        f"no arrays of split '{samples.split}' in {samples.data.name} fit the model's inputs",
        "name them: --inputs INPUT=ARRAY",
    )
