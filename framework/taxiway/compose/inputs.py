"""Input paths of a recipe: relative to the recipe's folder and inside it, or given by the user at the moment.

The path of a model may be a location elsewhere (`taxiway.fetch`): it is checked here, and fetched when
it is needed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from taxiway.compose.locate import Locator
from taxiway.compose.schema import plugin_schema
from taxiway.errors import Problem, RecipeError, StepError
from taxiway.fetch.location import LocationError, PackageFile, Url, parse
from taxiway.plugins import SECTIONS, Config, registry

INPUT, LOCATION = "input-path", "model-location"


@cache
def input_fields(config: type[Config]) -> tuple[tuple[str, ...], ...]:
    """The options of a Config that are input paths, those of models among them."""
    schema = plugin_schema(config, "options")
    return tuple(_fields(schema, schema, (), (INPUT, LOCATION)))


@cache
def location_fields(config: type[Config]) -> tuple[tuple[str, ...], ...]:
    """The options of a Config that may name a location elsewhere."""
    schema = plugin_schema(config, "options")
    return tuple(_fields(schema, schema, (), (LOCATION,)))


def _fields(
    schema: Mapping[str, Any],
    root: Mapping[str, Any],
    path: tuple[str, ...],
    formats: tuple[str, ...],
) -> Iterator[tuple[str, ...]]:
    if "$ref" in schema:
        schema = root.get("$defs", {}).get(schema["$ref"].rsplit("/", 1)[-1], {})
    for alternative in schema.get("anyOf", ()):
        yield from _fields(alternative, root, path, formats)
    if schema.get("format") in formats:
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from _fields(child, root, (*path, name), formats)


def absolute_inputs(
    options: Mapping[str, Any],
    shown: Mapping[str, Any],
    folder: Path,
    allowed: Sequence[Path],
    locator: Locator,
) -> dict[str, Any]:
    """A copy of `options` in which every input path is absolute.

    A path from the command line is relative to the working folder. One from a file is relative to the
    recipe's folder and stays inside it, or inside a folder of `allowed`; one that an environment
    variable gave may lead anywhere, since the user chose it. A location in an installed package becomes
    its path; a remote one stays as it is.
    Raises RecipeError with every path that leads outside or to nothing, and every location that is
    refused.
    """
    result = copy.deepcopy(dict(options))
    problems = []
    for path, may_be_elsewhere in _input_paths(options):
        text, written = _get(options, path), _get(shown, path)
        if not isinstance(text, str):
            continue
        if may_be_elsewhere:
            try:
                location = parse(text)
                if isinstance(location, PackageFile):
                    _set(result, path, str(_installed(location)))
            except LocationError as error:
                problems.append(_refused(path, text, error, locator))
                continue
            except StepError as error:
                problems.append(locator.problem(path, _named(path, error), error.hint))
                continue
            if location is not None:
                continue
        chosen = "${oc.env:" in str(written) or locator.overrides.find(path) is not None
        base = Path.cwd() if chosen else folder
        try:
            target = (base / text).resolve()
            exists = target.exists()
        except (OSError, ValueError) as error:
            problems.append(locator.problem(path, f"{'.'.join(path)} is no path: {reason(error)}"))
            continue
        inside = any(target.is_relative_to(root.resolve()) for root in (folder, *allowed))
        if not chosen and not inside:
            problems.append(_outside(path, str(written), target, locator))
        elif not exists:
            problems.append(_absent(path, str(written), base, text, locator))
        else:
            _set(result, path, str(target))
    if problems:
        raise RecipeError(problems)
    return result


def queries(options: Mapping[str, Any]) -> dict[tuple[str, ...], Url]:
    """The URLs with a query, which may hold a signature, by their option."""
    found = {path: _get(options, path) for path, may in _input_paths(options) if may}
    urls = {path: parse(text) for path, text in found.items() if isinstance(text, str)}
    return {path: url for path, url in urls.items() if isinstance(url, Url) and url.query}


def without_queries(
    shown: Mapping[str, Any], urls: Mapping[tuple[str, ...], Url]
) -> Mapping[str, Any]:
    """A copy of `shown` with each of these URLs as it may be written down."""
    result = copy.deepcopy(dict(shown))
    for path, url in urls.items():
        if _get(shown, path) == url.text:
            _set(result, path, url.shown)
    return result


def _installed(location: PackageFile) -> Path:
    # Asking for installed distributions is for those who name one.
    from taxiway.fetch.package import package_path

    return package_path(location).resolve()


def _named(path: Sequence[str], error: Exception) -> str:
    return f"{'.'.join(path)}: {error}"


def _refused(path: Sequence[str], text: str, error: LocationError, locator: Locator) -> Problem:
    """The line itself is left out where it may hold a password."""
    problem = replace(locator.problem(path, _named(path, error), error.hint), refused=True)
    return replace(problem, excerpt=None) if {"@", "?"} & {*text} else problem


def _input_paths(options: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Each option that is an input path, and whether it may name a location elsewhere."""
    for section in SECTIONS:
        steps = options.get(section) or {}
        named = dict(steps) if section == "optimize" else {"": steps}
        for name, step in named.items():
            if step:
                config = registry().get(section, step["type"]).step.Config
                prefix = (section, name) if name else (section,)
                elsewhere = location_fields(config)
                for field in input_fields(config):
                    yield (*prefix, *field), field in elsewhere


def _outside(path: Sequence[str], written: str, target: Path, locator: Locator) -> Problem:
    name = ".".join(path)
    place = locator.find(path, value=True)
    message = f"{name} '{written}' leads outside the recipe's folder"
    hint = (
        f"give it on the command line: {name}={written}, in an environment variable: "
        f"${{oc.env:NAME}}, or allow its folder: --allow-path {target.parent}"
    )
    return (
        place.problem(message, hint, refused=True)
        if place
        else Problem(message, hint=hint, refused=True)
    )


def _absent(path: Sequence[str], written: str, base: Path, text: str, locator: Locator) -> Problem:
    parent = (base / text).parent
    names = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
    near = get_close_matches(Path(text).name, names, n=1)
    hint = (
        f"did you mean '{Path(text).with_name(near[0])}'?" if near else f"looked in {_short(base)}"
    )
    return locator.problem(path, f"{'.'.join(path)}: no file or folder '{written}'", hint)


def reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


def _short(folder: Path) -> str:
    return "the working folder" if folder == Path.cwd() else str(folder)


def _get(data: Any, path: Sequence[str]) -> Any:
    for part in path:
        if not isinstance(data, Mapping) or part not in data:
            return None
        data = data[part]
    return data


def _set(data: dict[str, Any], path: Sequence[str], value: str) -> None:
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = value
