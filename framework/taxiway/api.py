"""The Python API: the same three steps as the command line, with typed results.

recipe = taxiway.load("digits_int8", ["optimize.quantize_static.calibration.samples=128"])
for step in recipe.plan().steps: print(step.name, step.key)
result = recipe.run()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from taxiway.compose import load as compose
from taxiway.compose import recipe as composed
from taxiway.execute.events import Observer
from taxiway.execute.plan import Plan
from taxiway.execute.planner import make_plan
from taxiway.execute.result import RunResult

__all__ = ["Recipe", "RunResult", "load"]


@dataclass(frozen=True)
class Recipe:
    """A composed and checked recipe. Make one with `load`."""

    composed: composed.Recipe

    @property
    def name(self) -> str:
        return self.composed.name

    def plan(self, route: int = 0, store: Path | str | None = None) -> Plan:
        """The steps in order, each with its cache key. Raises RecipeError where they do not fit.

        route: which of the ways to convert they take; 0 is the best. store: where a remote model
        without a pin is fetched to, as in `run`.
        """
        return make_plan(self.composed, route, store=Path(store) if store else None)

    def run(
        self,
        *,
        output: Path | str = "runs",
        store: Path | str | None = None,
        observers: Sequence[Observer] = (),
        locked: Path | str | None = None,
    ) -> RunResult:
        """Run the plan and give its result.

        output: where `NAME/TIME/` is made. store: where results are cached (TAXIWAY_STORE, or the
        user's cache folder). observers: called with each event. locked: a lock file that the run
        may not differ from.
        Raises DriftError where it does, GateError (its `result` is the RunResult) where a gate
        failed, StepError where a step failed, PluginError where a library is not installed.
        """
        from taxiway.execute.folder import RunFolder
        from taxiway.execute.lockfile import Lock
        from taxiway.execute.run import run_plan
        from taxiway.execute.store import Store, default_root

        lock = Lock.read(Path(locked)) if locked else None
        plan = self.plan(lock.route if lock else 0, store)
        plan.check_installed()
        where = Store(Path(store) if store else default_root())
        folder = RunFolder.create(Path(output).absolute(), self.name)
        return run_plan(plan, where, folder, observers, lock)


def load(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    config_dirs: Sequence[Path | str] = (),
    allow_paths: Sequence[Path | str] = (),
) -> Recipe:
    """Compose and check a recipe, by a shipped recipe's name or a path.

    overrides: as on the command line, in Hydra's grammar. config_dirs: more config groups.
    allow_paths: folders besides the recipe's own that its paths may lead to.
    Raises RecipeError with every mistake, each with file, line and column.
    """
    folders = [Path(folder) for folder in config_dirs]
    allowed = [Path(folder) for folder in allow_paths]
    return Recipe(compose.load(recipe, overrides, folders, allowed))
