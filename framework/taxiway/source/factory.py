"""A model's code, named `package.module:callable`: from an installed distribution, and nothing but a model.

A recipe is data, so what it names is held against three rules: the module is one of the files that an
installed distribution recorded (never the recipe's or the working folder, never an editable install);
the callable is a model class, or a function annotated to return one; the result is such a model.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from taxiway.errors import StepError

FactoryName = Annotated[
    str, Meta(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$", max_length=300)
]
"""`package.module:callable`."""
_SITES = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Origin:
    """Where a module comes from: the distribution that installed it, and its file."""

    distribution: str
    file: Path


def origin_of(factory: str) -> Origin:
    """The origin of a factory's module. Looks at files only: nothing is imported.

    Raises ValueError where no installed distribution recorded the module among its files.
    """
    module = factory.partition(":")[0]
    found = _locate(module)
    if found is None:
        raise ValueError(
            f"factory '{factory}': module '{module}' belongs to no installed distribution; "
            "install its package with pip, not as editable"
        )
    return found


def distribution_of(factory: str | None) -> tuple[str, ...]:
    """The distribution of a factory, for the key of its step; nothing where it is not installed."""
    try:
        return (origin_of(factory).distribution,) if factory else ()
    except ValueError:
        return ()


def build(factory: str, arguments: Mapping[str, Any], base: type, what: str) -> Any:
    """Import the factory and call it with `arguments`.

    base: the class that its result must be an instance of; what: how that is called, such as
    `torch.nn.Module`. Raises StepError for anything that is no such factory, or where it fails.
    """
    module_name, _, name = factory.partition(":")
    try:
        origin = origin_of(factory)
    except ValueError as error:
        raise StepError(str(error)) from error
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise StepError(f"module '{module_name}' cannot be imported: {error}") from error
    loaded = getattr(module, "__file__", None)
    if loaded is None or Path(loaded).resolve() != origin.file:
        raise StepError(
            f"module '{module_name}' was imported from {loaded}, not from {origin.distribution}"
        )
    made = getattr(module, name, None)
    if not _makes(made, base):
        raise StepError(
            f"'{factory}' is no subclass of {what}, and no function annotated to return one",
            f"annotate its result, such as `def {name}(...) -> {what}`",
        )
    try:
        model = typing.cast(Any, made)(**arguments)
    except Exception as error:
        raise StepError(
            f"'{factory}' failed with arguments {dict(arguments)}: {type(error).__name__}: {error}",
            "check source.arguments against its signature",
        ) from error
    if not isinstance(model, base):
        raise StepError(f"'{factory}' gave a {type(model).__name__}, expected a {what}")
    return model


def _makes(made: Any, base: type) -> bool:
    if inspect.isclass(made):
        return issubclass(made, base)
    if not inspect.isfunction(made):
        return False
    try:
        returned = typing.get_type_hints(made).get("return")
    except Exception:
        return False
    return inspect.isclass(returned) and issubclass(returned, base)


@cache
def _locate(module: str) -> Origin | None:
    file = _file_of(module)
    site = next((p for p in file.parents if p.name in _SITES), None) if file else None
    if file is None or site is None:
        return None
    relative = file.relative_to(site).as_posix()
    for distribution in distributions(path=[str(site)]):
        if _recorded(distribution, relative):
            return Origin(distribution.name, file.resolve())
    return None


def _file_of(module: str) -> Path | None:
    """The file that an import of the module would run, found without importing its parents."""
    path: list[str] | None = None
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        name = ".".join(parts[:count])
        if count == 1 and name in sys.stdlib_module_names:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            return None
        if count == len(parts):
            return Path(spec.origin) if spec.has_location and spec.origin else None
        path = list(spec.submodule_search_locations or ())
    return None


def _recorded(distribution: Distribution, relative: str) -> bool:
    record = distribution.read_text("RECORD") or ""
    return any(line.startswith(f"{relative},") for line in record.splitlines())
