"""A plan: the recipe's steps in the order they run, each with its key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from taxiway.compose.recipe import Recipe
from taxiway.compose.redact import redact_options
from taxiway.errors import PluginError, Problem, TaxiwayError
from taxiway.execute.keys import NOT_INSTALLED, key_of
from taxiway.model import Format
from taxiway.plugins import Config, Plugin, Step
from taxiway.plugins.registry import install_line

BASELINE = "evaluate.source"
CHAIN = "chain."
"""Role of every model of a run, with its place: `chain.0` is the source."""


@dataclass(frozen=True)
class PlannedStep:
    """One step: what runs on which format, and its key.

    name: unique in the plan, such as `optimize.quantize_static`. uses: role -> name of the step
    whose result it gets (`model`, `baseline`, `evaluation`).
    """

    name: str
    plugin: Plugin
    options: Config
    takes: Format | None
    gives: Format | None
    uses: Mapping[str, str]
    parts: Mapping[str, Any]
    key: str
    parts_now: Callable[[], Mapping[str, Any]]

    @property
    def reads_outside(self) -> bool:
        """Whether it reads files that are not in the store."""
        return self.takes is None or "data" in self.parts["inputs"] or "files" in self.parts

    def unchanged(self) -> bool:
        """Whether the files it reads are still those of its key."""
        try:
            return key_of(self.parts_now()) == self.key
        except (OSError, TaxiwayError):
            return False

    @property
    def section(self) -> str:
        return self.plugin.section

    @property
    def implementation(self) -> Step:
        """What runs on the format that the step takes."""
        made: Step = self.plugin.implementation(self.takes)
        return made


@dataclass(frozen=True)
class Plan:
    """The steps of one recipe, in the order they run.

    routes: the ways to convert, as formats, the best first. route: the one that the steps take.
    warnings: what works, and is most likely not what the recipe's author wants.
    """

    recipe: Recipe
    steps: tuple[PlannedStep, ...]
    routes: tuple[tuple[Format, ...], ...] = ()
    route: int = 0
    warnings: tuple[Problem, ...] = ()

    def step(self, section: str) -> PlannedStep | None:
        """The last step of a section."""
        return next((step for step in reversed(self.steps) if step.section == section), None)

    def named(self, name: str) -> PlannedStep:
        return next(step for step in self.steps if step.name == name)

    @property
    def artifact(self) -> PlannedStep:
        """The step whose model is the recipe's result."""
        return next(step for step in reversed(self.steps) if step.gives is not None)

    def check_installed(self) -> None:
        """Raises PluginError where a step needs a distribution that is not there."""
        for step in self.steps:
            versions = step.parts["libraries"].items()
            missing = [name for name, version in versions if version == NOT_INSTALLED]
            if missing:
                message = f"{step.name} needs what is not installed: {', '.join(missing)}"
                raise PluginError(message, install_line(missing))

    def public_parts(self, step: PlannedStep) -> Any:
        """The parts of a step's key as they may be written down."""
        return redact_options(msgspec.to_builtins(step.parts), self.recipe.secrets)
