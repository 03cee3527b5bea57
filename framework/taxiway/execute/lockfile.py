"""`NAME.lock`: the recipe as composed, what every step depended on, and what came out; `--locked` refuses to drift."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from taxiway.compose.assets import asset
from taxiway.compose.recipe import Recipe
from taxiway.errors import DriftError, UsageError
from taxiway.execute.history import Shape, own_parts
from taxiway.execute.keys import changes
from taxiway.execute.plan import Plan, PlannedStep
from taxiway.execute.store import Entry
from taxiway.plugins import LICENCE

VERSION = 1
PINNED_METRICS = ("accuracy", "agreement", "size")
"""Figures that a repetition gives again; times and memory are measured anew."""


class _Step(msgspec.Struct):
    parts: Shape
    outputs: dict[str, str] = {}


class _Body(msgspec.Struct):
    lock: Literal[1]
    recipe: dict[str, Any]
    steps: dict[str, _Step]
    metrics: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Lock:
    """The content of a lock file."""

    path: Path
    body: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Lock:
        """Raises UsageError where there is no lock file, or none of this version."""
        try:
            text = path.read_bytes()
            msgspec.json.decode(text, type=_Body)
        except OSError as error:
            raise UsageError(
                f"no lock file {path}", "write it: taxiway run RECIPE --lock"
            ) from error
        except msgspec.DecodeError as error:
            raise UsageError(
                f"{path} is not a lock file of version {VERSION}: {error}", "write it anew: --lock"
            ) from error
        return cls(path, json.loads(text))

    @property
    def route(self) -> int:
        """Which of the ways to convert the pinned run took."""
        return int(self.body.get("route", 0))

    def check_plan(self, plan: Plan) -> None:
        """Raises DriftError where the recipe, its sources, its data or a library changed; names each."""
        found = changes(self.body["recipe"], plan.recipe.public, "recipe.")
        before = self.body["steps"]
        for name in sorted({*before, *(step.name for step in plan.steps)}):
            step = next((step for step in plan.steps if step.name == name), None)
            if step is None or name not in before:
                found.append(f"{name}: {'added' if step else 'removed'}")
                continue
            old, new = own_parts(before[name]["parts"]), own_parts(plan.public_parts(step))
            old.pop("machine", None)
            new.pop("machine", None)
            found += changes(old, new, f"{name}: ")
        self._refuse(found)

    def check_entry(self, step: PlannedStep, entry: Entry) -> None:
        """Raises DriftError where a model step gave other bytes, or the evaluation other figures."""
        pinned = self.body["steps"].get(step.name, {})
        if step.gives is not None:
            self._refuse(changes(pinned.get("outputs", {}), entry.outputs, f"{step.name}: "))
        if step.section == "evaluate":
            pinned = self.body["metrics"].get(step.name, {})
            self._refuse(changes(pinned, metrics(entry), f"{step.name}: "))

    def _refuse(self, found: list[str]) -> None:
        if found:
            lines = "\n  ".join(found)
            raise DriftError(
                f"the run differs from {self.path}:\n  {lines}",
                "undo the change, or accept it and write the lock anew: --lock",
            )


def metrics(entry: Entry) -> dict[str, Any]:
    """The repeatable figures of an evaluation."""
    figures = entry.record["figures"]
    return {name: value for name, value in figures.items() if name in PINNED_METRICS}


def lock_path(recipe: Recipe) -> Path:
    """Beside a recipe of the user's own; in the working folder for a shipped one."""
    shipped = recipe.file.is_relative_to(asset("recipes"))
    return (Path.cwd() if shipped else recipe.file.parent) / f"{recipe.name}.lock"


def _licence(entry: Entry) -> dict[str, Any]:
    """What the model's own files state; the recipe's own word is among its options."""
    return {key: entry.record[key] for key in (LICENCE,) if key in entry.record}


def content(plan: Plan, entries: Mapping[str, Entry]) -> bytes:
    """The lock file of a finished run."""
    steps = {
        step.name: {
            "key": step.key,
            "parts": plan.public_parts(step),
            **({"outputs": entries[step.name].outputs} if step.gives is not None else {}),
            **_licence(entries[step.name]),
        }
        for step in plan.steps
        if step.name in entries
    }
    figures = {
        name: metrics(entry) for name, entry in entries.items() if name.startswith("evaluate")
    }
    body = {
        "lock": VERSION,
        "recipe": plan.recipe.public,
        "overrides": list(plan.recipe.overrides),
        "route": plan.route,
        "steps": steps,
        "metrics": figures,
    }
    text = json.dumps(plan.recipe.redacted(body), indent=1, sort_keys=True)
    return f"{text}\n".encode()
