"""A step's model where it lies elsewhere: pinned in the plan, fetched by the parent right before the step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from taxiway.compose.inputs import location_fields
from taxiway.compose.recipe import Recipe
from taxiway.errors import RecipeError, TaxiwayError
from taxiway.execute.limits import StepLimits
from taxiway.execute.store import default_root
from taxiway.fetch import Remote, licence, parse
from taxiway.fetch.local import fetch, local
from taxiway.fetch.location import PackageFile
from taxiway.fetch.stream import Progress
from taxiway.plugins import PIN, Config

PLACEHOLDER = "<64 hex digits>"


@dataclass(frozen=True)
class LocalOptions:
    """options: plain, each location a local path. licence: what the model's own files state."""

    options: dict[str, Any]
    licence: dict[str, Any] | None


def require_pins(
    recipe: Recipe, section: Sequence[str], options: Config, store: Path | None
) -> None:
    """Raises RecipeError, at the line, with the line to add where a remote location has no pin.

    The location is fetched for that, once: the next run finds it in the store.
    """
    plain = msgspec.to_builtins(options)
    for path, parent, location in _remote(type(options), plain):
        if parent.get(PIN) is None:
            message, hint = _missing_pin(recipe, location, store)
            at = (*section, *path)
            raise RecipeError([recipe.locator.problem(at, f"{'.'.join(at)}: {message}", hint)])


def _missing_pin(recipe: Recipe, location: Remote, store: Path | None) -> tuple[str, str]:
    def silent(done: int, total: int | None, unit: str) -> None:
        return None

    seconds = StepLimits.of(recipe.common.limits).seconds
    try:
        _, pin = fetch(location, None, store or default_root(), seconds, silent)
    except TaxiwayError as error:
        return (
            f"{location.shown} has no pin, and cannot be fetched to compute it: {error.message}",
            f"add beside it, from a source you trust:\n    {PIN}: {PLACEHOLDER}",
        )
    return (
        f"{location.shown} has no pin, so what it gives may change",
        f"add beside it, if what it gave now is what you want:\n    {PIN}: {pin}",
    )


@contextmanager
def local_options(
    recipe: Recipe, section: str, options: Config, store: Path, scratch: Path, progress: Progress
) -> Iterator[LocalOptions]:
    """The options with every remote location replaced by the path of what was fetched.

    scratch: a folder for what is read out of a wheel, until the end of the block.
    Raises what `taxiway.fetch.local` raises.
    """
    plain: dict[str, Any] = msgspec.to_builtins(options)
    seconds = StepLimits.of(recipe.common.limits).seconds
    written: dict[str, Any] = recipe.public.get(section) or {}
    found = _beside(type(options), plain, written)
    with ExitStack() as stack:
        for path, parent, location in _remote(type(options), plain):
            pin = parent[PIN]
            fetched = stack.enter_context(local(location, pin, store, scratch, seconds, progress))
            parent[path[-1]], found = str(fetched.path), fetched.licence
        yield LocalOptions(plain, asdict(found) if found else None)


def _remote(
    config: type[Config], plain: dict[str, Any]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any], Remote]]:
    """Each option that names a remote location, and the mapping that holds it."""
    for path in location_fields(config):
        parent = _parent(plain, path)
        location = parse(text) if isinstance(text := parent.get(path[-1]), str) else None
        if isinstance(location, Remote):
            yield path, parent, location


def _beside(
    config: type[Config], plain: dict[str, Any], written: dict[str, Any]
) -> licence.Licence | None:
    """What the card of a local folder states, else the package that the recipe names."""
    for path in location_fields(config):
        text, named = _parent(plain, path).get(path[-1]), _parent(written, path).get(path[-1])
        local = Path(text) if isinstance(text, str) else Path()
        found = licence.of_folder(local) if text and local.is_dir() else None
        package = parse(named) if isinstance(named, str) else None
        if found is None and isinstance(package, PackageFile):
            found = licence.of_distribution(package.distribution)
        return found
    return None


def _parent(plain: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    for part in path[:-1]:
        plain = plain.get(part) or {}
    return plain
