"""The runs of a sweep: one plan per point, one store for all, one comparison at the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from taxiway.compose.recipe import Recipe
from taxiway.errors import GateError, Interrupted, TaxiwayError
from taxiway.execute import events
from taxiway.execute.folder import RunFolder
from taxiway.execute.planner import make_plan
from taxiway.execute.result import RunResult
from taxiway.execute.run import NotAccepted, run_plan
from taxiway.execute.store import Store


class PointResult(msgspec.Struct, frozen=True, kw_only=True):
    """One point: its overrides, and its run or its error."""

    index: int
    overrides: tuple[str, ...]
    result: RunResult | None = None
    error: str | None = None
    exit_code: int = 0


@dataclass(frozen=True)
class SweepTask:
    """Runs the point of an index. Picklable, so that a launcher may run it in another process.

    observer: makes what is told of the events of one point.
    """

    recipes: tuple[Recipe, ...]
    folder: Path
    store: Path
    observer: Callable[[], events.Observer] | None

    def __call__(self, index: int) -> PointResult:
        recipe = self.recipes[index]
        point = recipe.overrides
        folder = RunFolder(self.folder / str(index))
        folder.path.mkdir(parents=True, exist_ok=True)
        observers = [self.observer()] if self.observer else []
        try:
            plan = make_plan(recipe)
            plan.check_installed()
            result = run_plan(plan, Store(self.store), folder, observers)
        except NotAccepted as error:
            return PointResult(
                index=index,
                overrides=point,
                result=error.result,
                error=error.message,
                exit_code=GateError.exit_code,
            )
        except Interrupted:
            raise
        except TaxiwayError as error:
            return PointResult(
                index=index, overrides=point, error=error.message, exit_code=error.exit_code
            )
        return PointResult(index=index, overrides=point, result=result)


def varying(results: list[PointResult]) -> list[list[str]]:
    """Of each point, the overrides in which the points differ."""
    same = set.intersection(*(set(point.overrides) for point in results)) if results else set()
    return [[text for text in point.overrides if text not in same] for point in results]


def write_report(results: list[PointResult], folder: Path) -> Path:
    """`sweep.json` in the sweep's folder."""
    body: list[Any] = json.loads(msgspec.json.encode(results, enc_hook=str))
    return RunFolder(folder).write("sweep.json", (json.dumps(body, indent=2) + "\n").encode())
