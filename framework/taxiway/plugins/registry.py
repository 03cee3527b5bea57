"""Plugins by section and name, found through entry points.

    [project.entry-points."taxiway.optimize"]
    prune_mine = "my_package.prune:Prune"

Listing imports nothing; a plugin's module is imported when a recipe names it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, cast

from taxiway.errors import PluginError
from taxiway.model import Format
from taxiway.plugins.config import Config
from taxiway.plugins.step import Step

SECTIONS = (
    "source",
    "data",
    "convert",
    "optimize",
    "calibration",
    "parity",
    "evaluate",
    "ledger",
    "deploy",
)
"""What a recipe may have, in the order of the steps."""
GROUPS = (*SECTIONS, "converter")
"""Entry-point groups, `taxiway.` before each: converters are chosen by the planner."""
EXTRAS = {
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "tf_keras": "tensorflow",
    "tf2onnx": "tensorflow",
    "ai_edge_quantizer": "tensorflow",
    "h5py": "tensorflow",
    "onnxslim": "tensorflow",
    "fsspec": "remote",
    "huggingface_hub": "remote",
    "s3fs": "s3",
    "gcsfs": "gcs",
    "torch": "torch",
    "onnxscript": "torch",
    "safetensors": "torch",
    "transformers": "huggingface",
    "sklearn": "sklearn",
    "scikit_learn": "sklearn",
    "skl2onnx": "sklearn",
    "skops": "sklearn",
    "hydra_plugins.hydra_joblib_launcher": "sweep",
}
"""Module -> the extra of Taxiway that installs it."""


@cache
def installed() -> EntryPoints:
    """The entry points of all distributions: looking through them takes longer than a plan's keys."""
    # Python 3.11 gives an older mapping, which has the same `select`.
    return cast(EntryPoints, entry_points())


def missing_module(error: ImportError) -> PluginError:
    """The error for an import that failed, with the line that installs what is missing."""
    name = error.name or ""
    message = f"module '{name}' is not installed" if name else str(error)
    return PluginError(message, install_line([name]))


def install_line(names: Iterable[str]) -> str | None:
    """What to type for modules or distributions that an extra of Taxiway installs."""
    found = (EXTRAS.get(n) or EXTRAS.get(n.replace("-", "_").split(".")[0]) for n in names)
    extras = ",".join(sorted({extra for extra in found if extra}))
    return f"pip install 'taxiway[{extras}]'" if extras else None


@dataclass(frozen=True)
class Plugin:
    """One entry point: a name in a section, and the distribution it came from."""

    section: str
    name: str
    entry: EntryPoint

    @property
    def origin(self) -> str:
        dist = self.entry.dist
        return f"{dist.name} {dist.version}" if dist else "an unknown distribution"

    @property
    def builtin(self) -> bool:
        return self.entry.value.startswith("taxiway.")

    @cached_property
    def step(self) -> type[Step]:
        """The plugin's class. Raises PluginError where it cannot be imported or is no Step."""
        what = f"{self.section} plugin '{self.name}' ({self.origin})"
        try:
            step = self.entry.load()
        except ImportError as error:
            cause = missing_module(error)
            raise PluginError(f"{what} cannot be imported: {cause.message}", cause.hint) from error
        except Exception as error:
            raise PluginError(f"{what} cannot be imported: {error!r}") from error
        if not (isinstance(step, type) and issubclass(step, Step)):
            raise PluginError(f"{what} is no subclass of taxiway.plugins.Step")
        if step.section != self.section or not issubclass(getattr(step, "Config", type), Config):
            raise PluginError(f"{what} must be a step of section {self.section} with a Config")
        return step

    @property
    def usable(self) -> bool:
        try:
            return bool(self.step)
        except PluginError:
            return False

    @property
    def accepts(self) -> frozenset[Format]:
        return self.step.accepts | frozenset(self.step.implementations)

    def implementation(self, format: Format | None) -> Any:
        """An instance of the step that works on `format`."""
        location = self.step.implementations.get(format or "")
        if location is None:
            return self.step()
        module, _, name = location.partition(":")
        return getattr(importlib.import_module(module), name)()


class Registry:
    """Every installed plugin.

    Two distributions that claim one name in one section are an error that names both.
    """

    def __init__(self, entries: Iterable[EntryPoint] | None = None) -> None:
        self._plugins: dict[tuple[str, str], Plugin] = {}
        if entries is None:
            entries = [e for s in GROUPS for e in installed().select(group=f"taxiway.{s}")]
        for entry in entries:
            section = entry.group.removeprefix("taxiway.")
            plugin = Plugin(section, entry.name, entry)
            other = self._plugins.setdefault((section, entry.name), plugin)
            if other.entry.value != entry.value:
                raise PluginError(
                    f"{section} plugin '{entry.name}' comes from both {other.origin} and {plugin.origin}",
                    "uninstall one of them",
                )

    def section(self, section: str) -> dict[str, Plugin]:
        """The plugins of a section by name, sorted."""
        return {name: p for (s, name), p in sorted(self._plugins.items()) if s == section}

    def usable(self, section: str) -> dict[str, Plugin]:
        """Those that can be imported: a broken package spoils only the recipes that name its plugins."""
        return {name: plugin for name, plugin in self.section(section).items() if plugin.usable}

    def get(self, section: str, name: str) -> Plugin:
        """The plugin, or PluginError with the nearest name."""
        found = self._plugins.get((section, name))
        if found:
            return found
        known = list(self.section(section))
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"installed: {', '.join(known) or 'none'}"
        raise PluginError(f"no {section} plugin '{name}'", hint)


@cache
def registry() -> Registry:
    """The registry of this environment."""
    return Registry()
