"""A --multirun: every point composed and checked first, then run by Hydra's sweeper and launcher."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher

from taxiway.compose import engine, overrides, reader
from taxiway.compose.assets import config_folders, config_groups, find_recipe
from taxiway.compose.load import load
from taxiway.compose.recipe import Recipe
from taxiway.errors import PluginError, RecipeError

Point = tuple[str, ...]
QUIET = ("hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.output_subdir=null")


def points(
    name: str | Path,
    texts: Sequence[str],
    config_dirs: Sequence[Path] = (),
    allowed: Sequence[Path] = (),
) -> list[Recipe]:
    """The recipe at every point of the sweep, in the sweeper's order.

    Raises RecipeError with the mistakes of all points.
    """
    file = find_recipe(str(name))
    folders = config_folders(file, tuple(config_dirs))
    chosen = reader.read(file).groups()
    parsed = overrides.parse(texts, config_groups(folders), chosen, sweep=True)
    constant = _constant(parsed)
    try:
        with engine.engine((file.parent, *folders)) as hydra:
            node = engine.compose(hydra, file, constant).hydra
            launcher = node.launcher._target_.rsplit(".", 1)[-1]
            params = {str(key): value for key, value in (node.sweeper.params or {}).items()}
    except HydraException as error:
        load(name, _own(constant), config_dirs, allowed)
        # The recipe is right, so it is the launcher or the sweeper that was chosen.
        message = " ".join(str(error).split("Config search path")[0].split())
        raise PluginError(message, "pip install 'taxiway[sweep]' has joblib") from error
    _check_launcher(launcher)
    recipes, problems = [], []
    for point in parsed.points(params):
        try:
            recipes.append(load(name, _own(point), config_dirs, allowed))
        except RecipeError as error:
            problems += error.problems
    if problems:
        raise RecipeError(problems)
    return recipes


def _constant(parsed: overrides.Overrides) -> list[str]:
    """The overrides that are the same at every point."""
    pairs = zip(parsed.hydra, parsed.parsed, strict=True)
    return [text for text, override in pairs if not override.is_sweep_override()]


def _own(texts: Sequence[str]) -> list[str]:
    """Those that are not for Hydra itself."""
    return [text for text in texts if not text.startswith("hydra")]


def _check_launcher(name: str) -> None:
    if name not in {kind.__name__ for kind in Plugins.instance().discover(Launcher)}:
        raise PluginError(f"the launcher {name} is not installed", "pip install 'taxiway[sweep]'")


def sweep(
    recipes: Sequence[Recipe],
    texts: Sequence[str],
    folder: Path,
    task: Callable[[int], Any],
    config_dirs: Sequence[Path] = (),
) -> list[Any]:
    """Call `task(index)` for every point through Hydra's launcher; its results in order.

    folder: where Hydra makes one folder per point, named by its index. `task` must be picklable
    for a launcher that starts processes.
    """
    file = recipes[0].file
    folders = config_folders(file, tuple(config_dirs))
    chosen = reader.read(file).groups()
    parsed = overrides.parse(texts, config_groups(folders), chosen, sweep=True)
    where = [f"hydra.sweep.dir='{folder}'", "hydra.sweep.subdir=${hydra.job.num}"]
    with engine.engine((file.parent, *folders)) as hydra:
        batches = hydra.multirun(file.stem, _Job(task), [*QUIET, *where, *parsed.hydra])
    return [job.return_value for job in itertools.chain(*batches)]


class _Job:
    """What Hydra calls for a point: the composed config is already known by the point's index."""

    def __init__(self, task: Callable[[int], Any]) -> None:
        self._task = task

    def __call__(self, _config: Any) -> Any:
        return self._task(int(HydraConfig.get().job.num))
