"""Hydra as an engine, through its public plugin types: every YAML file it merges passes `reader.read` first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import initialize
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from taxiway.compose import reader
from taxiway.compose.document import Document
from taxiway.errors import Problem, RecipeError

SCHEME = "taxiway"


class CheckedSource(ConfigSource):
    """A folder of config files, each read through the limits and refusals of `reader.read`."""

    @staticmethod
    def scheme() -> str:
        return SCHEME

    def _file(self, config_path: str) -> Path:
        return Path(self.path) / self._normalize_file_name(config_path)

    def load_config(self, config_path: str) -> ConfigResult:
        file = self._file(config_path)
        if not file.exists():
            raise ConfigLoadError(f"Config not found: {file}")
        if not file.resolve().is_relative_to(Path(self.path).resolve()):
            message = "the file is a link that leads outside its config folder"
            raise RecipeError([Problem(message, reader.relative(file), refused=True)])
        read = reader.read(file)
        return ConfigResult(
            provider=self.provider,
            path=self.full_path(),
            config=OmegaConf.create(read.data),
            header=self._get_header_dict(read.text[:512]),
        )

    def available(self) -> bool:
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        return (Path(self.path) / config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        return self._file(config_path).is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        found: list[str] = []
        for entry in (Path(self.path) / config_path).iterdir():
            self._list_add_result(
                files=found,
                file_path=str(Path(config_path) / entry.name),
                file_name=entry.name,
                results_filter=results_filter,
            )
        return sorted(set(found))


class FolderSearchPath(SearchPathPlugin):
    """Puts the folders of the running composition on Hydra's search path."""

    folders: tuple[Path, ...] = ()

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in self.folders:
            search_path.append(f"{SCHEME} {folder.name}", f"{SCHEME}://{folder}")


@contextmanager
def engine(folders: Sequence[Path]) -> Iterator[Any]:
    """Hydra with these folders to search, the recipe's own first."""
    FolderSearchPath.folders = tuple(folders)
    Plugins.instance().register(CheckedSource)
    Plugins.instance().register(FolderSearchPath)
    with initialize(config_path=None, job_name="taxiway", version_base="1.3"):
        yield GlobalHydra.instance().hydra


def compose(hydra: Any, recipe: Path, overrides: Sequence[str]) -> DictConfig:
    """The composed recipe with its `hydra` node. Hydra's own exceptions pass through."""
    from hydra import compose as hydra_compose

    return hydra_compose(recipe.stem, list(overrides), return_hydra_config=True)


@dataclass(frozen=True)
class Merged:
    """Called, it gives the files that Hydra merges into a recipe, each with its package, in merge order."""

    recipe: Path
    folders: tuple[Path, ...]
    overrides: tuple[str, ...]

    def __call__(self) -> tuple[tuple[Document, tuple[str, ...]], ...]:
        from hydra.types import RunMode

        with engine(self.folders) as hydra:
            merged = hydra.config_loader.compute_defaults_list(
                self.recipe.stem, list(self.overrides), RunMode.RUN
            )
        documents = []
        for default in merged.defaults:
            file = self._file(default.config_path or "")
            if file is not None:
                package = tuple(default.package.split(".")) if default.package else ()
                documents.append((reader.read(file), package))
        return tuple(documents)

    def _file(self, config_path: str) -> Path | None:
        files = (folder / f"{config_path}.yaml" for folder in self.folders)
        return next((file for file in files if file.is_file()), None)
