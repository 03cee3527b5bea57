"""What the tests of several commands share: a run's folder, and a store with results."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxiway.execute.result import RunResult, StepResult
from taxiway.execute.store import Store

MakeRun = Callable[..., Path]
MakeResult = Callable[..., Path]


@pytest.fixture
def make_run() -> MakeRun:
    """Writes `folder` as a finished run leaves it."""

    def make(
        folder: Path, *, accuracy: float = 0.97, key: str = "a" * 64, age: float = 0, **recipe: Any
    ) -> Path:
        folder.mkdir(parents=True)
        step = StepResult(name="source", plugin="source.keras", key=key, cached=False, seconds=1.0)
        result = RunResult(
            name=folder.parent.name,
            status="accepted",
            folder=folder,
            seconds=2.0,
            steps=(step,),
            metrics={"result": {"accuracy": accuracy, "size": 2048}},
            samples=500,
        )
        (folder / "report.json").write_bytes(result.to_json())
        (folder / "recipe.json").write_text(json.dumps({"name": folder.parent.name, **recipe}))
        then = (folder / "report.json").stat().st_mtime - age
        os.utime(folder / "report.json", (then, then))
        return folder

    return make


@pytest.fixture
def make_result() -> MakeResult:
    """Publishes a result of `size` bytes in a store, last used `age` seconds ago."""

    def make(root: Path, key: str, *, size: int = 1000, age: float = 0) -> Path:
        store = Store(root)
        with store.workdir(key) as workdir:
            (workdir / "model").write_bytes(bytes(size))
            store.publish(key, workdir, {"step": "convert", "recipe": "digits"})
        record = store.folder(key) / "record.json"
        then = record.stat().st_mtime - age
        os.utime(record, (then, then))
        return store.folder(key)

    return make
