"""The parts of each step's key at the recipe's last run: what `plan` compares with to say why a step runs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from taxiway.execute.keys import changes
from taxiway.execute.plan import Plan, PlannedStep

UPSTREAM = ("model", "reference", "baseline", "evaluation", "chain")


def own_parts(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts that are the step's own: without the keys of the steps before it."""
    inputs = {
        name: value
        for name, value in parts["inputs"].items()
        if name.partition(".")[0] not in UPSTREAM
    }
    inputs.pop("recipe", None)
    return {**parts, "inputs": inputs}


class Shape(msgspec.Struct):
    """What the parts of a step must have to be compared; a file of the user's disk may hold anything."""

    inputs: dict[str, Any]


class History:
    """One small file per recipe name in the store."""

    def __init__(self, root: Path) -> None:
        self._root = root / "recipes"

    def remember(self, plan: Plan) -> None:
        """Keep the parts of this plan. Where the disk refuses, only the reasons are lost."""
        body = {step.name: plan.public_parts(step) for step in plan.steps}
        with suppress(OSError):
            self._root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._root, prefix=".") as scratch:
                file = Path(scratch) / "parts.json"
                file.write_text(json.dumps(body))
                file.replace(self._file(plan))

    def why(self, plan: Plan, step: PlannedStep) -> str:
        """Why a step is not cached, in one line."""
        try:
            text = self._file(plan).read_bytes()
            msgspec.json.decode(text, type=dict[str, Shape])
        except (OSError, msgspec.DecodeError):
            return "first run"
        before = json.loads(text)
        if step.name not in before:
            return "new step"
        own = changes(own_parts(before[step.name]), own_parts(plan.public_parts(step)))
        if own:
            return "; ".join(own)
        if before[step.name] != plan.public_parts(step):
            return "a step before it changed"
        return "its result is gone from the store"

    def _file(self, plan: Plan) -> Path:
        return self._root / f"{plan.recipe.name}.json"
