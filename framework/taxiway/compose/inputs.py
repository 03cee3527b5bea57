"""Input paths of a recipe: relative to the recipe's folder and inside it, or given by the user at the moment."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from taxiway.compose.locate import Locator
from taxiway.compose.schema import plugin_schema
from taxiway.errors import Problem, RecipeError
from taxiway.plugins import SECTIONS, Config, registry

INPUT = "input-path"


@cache
def input_fields(config: type[Config]) -> tuple[tuple[str, ...], ...]:
    """The options of a Config that are input paths."""
    schema = plugin_schema(config, "options")
    return tuple(_fields(schema, schema, ()))


def _fields(
    schema: Mapping[str, Any], root: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    if "$ref" in schema:
        schema = root.get("$defs", {}).get(schema["$ref"].rsplit("/", 1)[-1], {})
    for alternative in schema.get("anyOf", ()):
        yield from _fields(alternative, root, path)
    if schema.get("format") == INPUT:
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from _fields(child, root, (*path, name))


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
    variable gave may lead anywhere, since the user chose it.
    Raises RecipeError with every path that leads outside or to nothing.
    """
    result = copy.deepcopy(dict(options))
    problems = []
    for path in _input_paths(options):
        text, written = _get(options, path), _get(shown, path)
        if not isinstance(text, str):
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


def _input_paths(options: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for section in SECTIONS:
        steps = options.get(section) or {}
        named = dict(steps) if section == "optimize" else {"": steps}
        for name, step in named.items():
            if step:
                config = registry().get(section, step["type"]).step.Config
                prefix = (section, name) if name else (section,)
                yield from ((*prefix, *field) for field in input_fields(config))


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
