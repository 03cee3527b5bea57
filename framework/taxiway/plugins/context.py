"""What a step gets besides its model and its options, and through which it tells how it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taxiway.model import Model
from taxiway.plugins.dataset import Dataset

Progress = Callable[[int, int | None, str], None]
"""`progress(done, total, unit)`: how far a long step is; total None where it is not known."""


def _silent(done: int, total: int | None, unit: str) -> None:
    return None


@dataclass(frozen=True)
class Note:
    """A repair that a step made on the way: its name, at how many places, and what it is about."""

    repair: str
    count: int
    about: str


Noted = Callable[[Note], None]
"""`note(Note(...))`: told at once, kept in the step's record."""


def unheard(note: Note) -> None:
    return None


Told = Callable[[str, Mapping[str, Any]], None]
"""`tell(subject, facts)`: JSON that is kept beside the step's result, such as a training's curve.

`summary` among the facts is a sentence, and `warnings` a list of them, that people are shown."""


def untold(subject: str, facts: Mapping[str, Any]) -> None:
    return None


@dataclass(frozen=True)
class Measurement:
    """What an evaluation measured on one model, and the folder of the files it wrote."""

    figures: Mapping[str, Any]
    files: Path


@dataclass(frozen=True)
class Stage:
    """A model on its way from source to result: the step that made it, and that step's plugin."""

    step: str
    plugin: str
    model: Model


@dataclass(frozen=True)
class Context:
    """What a step gets besides its model and its options.

    workdir: an empty folder; what the step writes there is its result.
    reference: for `parity`, the model that went into the step which is judged.
    approximates: for `parity`, whether that step changes the model on purpose.
    baseline: for `evaluate`, what the same evaluation measured on the source.
    chain: for `ledger`, the models from the source to the result, in order.
    data: the recipe's dataset; a step reads only what its `reads` declared.
    figures: what `evaluate` measured and what the gates said, for `deploy`.
    note: tells of a repair; it ends in the step's record.
    tell: tells what the step found out; it ends in the step's record, too.
    checkpoints: a folder for what a later attempt at this very step goes on from; it outlives a kill and
    goes with the step's success. None: there is no later attempt.
    recipe: for `deploy`, what may be said of the recipe: `name`, `description`, and `steps` (each with
    `name`, `plugin`, `options`); it holds no value that came from the environment.
    """

    workdir: Path
    seed: int = 0
    reference: Model | None = None
    approximates: bool = False
    baseline: Measurement | None = None
    chain: tuple[Stage, ...] = ()
    data: Dataset | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress = _silent
    note: Noted = unheard
    tell: Told = untold
    checkpoints: Path | None = None
