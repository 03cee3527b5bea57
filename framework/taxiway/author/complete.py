"""What may stand where the cursor is: recipes, `group=option`, option names and values.

Read from file names, a recipe's text and the generated schema; Hydra is not imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from taxiway.author.outline import Outline, is_recipe, outline
from taxiway.compose.assets import (
    asset,
    config_folders,
    config_groups,
    find_recipe,
    shipped_recipes,
)
from taxiway.errors import TaxiwayError

_NAMED = "optimize"
_PREFIX = re.compile(r"^(\+\+|\+|~)?(.*)$", re.DOTALL)


def recipes(word: str) -> Iterator[str]:
    """Names of shipped recipes, paths of recipe files, and folders (with a final `/`)."""
    yield from shipped_recipes()
    folder, shown = (Path(word or "."), word) if word.endswith("/") else (Path(word).parent, "")
    if not shown and "/" in word:
        shown = word.rsplit("/", 1)[0] + "/"
    if not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.name.startswith((".", "__")):
            yield f"{shown}{entry.name}/"
        elif entry.suffix == ".yaml" and is_recipe(entry):
            yield f"{shown}{entry.name}"


def overrides(word: str, recipe: str, given: Sequence[str]) -> Iterator[str]:
    """Overrides that begin like `word`, for a recipe with the overrides `given` before it."""
    try:
        file = find_recipe(recipe)
        groups = config_groups(config_folders(file))
    except TaxiwayError:
        return
    match = _PREFIX.match(word)
    assert match
    mark, typed = match[1] or "", match[2]
    chosen = _plugins(outline(file), given, groups)
    if mark == "~":
        yield from (f"~{_NAMED}.{name}" for name in chosen.get(_NAMED, ()))
        yield from (f"~{group}" for group in chosen)
        return
    key, equals, value = typed.partition("=")
    if equals:
        yield from (f"{mark}{key}={item}" for item in _values(key, value, chosen, groups))
        return
    if "." not in key:
        yield from (f"{mark}{group}=" for group in groups)
    yield from (f"{mark}{name}" for name in _names(key, chosen))


def _plugins(
    read: Outline, given: Sequence[str], groups: Mapping[str, Mapping[str, Path]]
) -> dict[str, dict[str, str]]:
    """Section -> name -> plugin, as the recipe and the overrides before the cursor choose them."""
    options = dict(read.chosen)
    for text in given:
        key, equals, value = text.lstrip("+").partition("=")
        if equals and key in groups:
            options[key] = tuple(part.strip() for part in value.strip("[]").split(",") if part)
    return {
        section: {name: _plugin(groups[section].get(name), name) for name in names}
        for section, names in options.items()
        if section in groups
    }


def _plugin(file: Path | None, option: str) -> str:
    """The plugin that a config group's option stands for."""
    text = file.read_text(encoding="utf-8", errors="replace") if file else ""
    match = re.search(r"^type:\s*([\w-]+)", text, re.MULTILINE)
    return match[1] if match else option


@cache
def _schema() -> dict[str, Any]:
    file = asset("schemas") / "resolved.schema.json"
    return dict(json.loads(file.read_bytes())) if file.is_file() else {}


def _object(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with references followed; of alternatives, the one with properties."""
    while "$ref" in schema:
        found: Any = _schema()
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found.get(part, {})
        schema = found
    alternatives = [_object(option) for option in schema.get("anyOf", ())]
    return next((option for option in alternatives if "properties" in option), schema)


def _at(path: Sequence[str], chosen: Mapping[str, Mapping[str, str]]) -> Mapping[str, Any]:
    """The schema of the value at a dotted path; empty where there is none."""
    if not path:
        own = {key: _object(value) for key, value in _schema().get("properties", {}).items()}
        return {
            "properties": {
                key: value for key, value in own.items() if _reachable(key, value, chosen)
            }
        }
    section, rest = path[0], list(path[1:])
    if section == _NAMED:
        if not rest:
            return {"properties": {name: {"properties": {}} for name in chosen.get(_NAMED, {})}}
        plugin = chosen.get(_NAMED, {}).get(rest.pop(0))
        node = _definition(section, plugin)
    elif section in chosen:
        node = _definition(section, next(iter(chosen[section].values()), None))
    else:
        node = _object(_schema().get("properties", {}).get(section, {}))
    for part in rest:
        properties = node.get("properties", {})
        node = _object(properties.get(part) or node.get("additionalProperties") or {})
    return node


def _reachable(key: str, value: Mapping[str, Any], chosen: Mapping[str, Any]) -> bool:
    """A section has options only where the recipe chose a plugin for it."""
    return key in chosen if "type" in value.get("properties", {}) or key == _NAMED else True


def _definition(section: str, plugin: str | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _schema().get("$defs", {}).get(f"{section}.{plugin}", {})
    return found


def _names(key: str, chosen: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Options beside what is typed: `a.b=` for a value, `a.b.` for a group of options."""
    head = key.rpartition(".")[0]
    path = head.split(".") if head else []
    for name, child in _at(path, chosen).get("properties", {}).items():
        if name == "type" and path:
            continue
        deeper = "properties" in _object(child) or (not path and name in chosen)
        yield ".".join((*path, name)) + ("." if deeper else "=")


def _values(
    key: str,
    value: str,
    chosen: Mapping[str, Mapping[str, str]],
    groups: Mapping[str, Mapping[str, Path]],
) -> Iterator[str]:
    if key in groups:
        head, comma, _ = value.rpartition(",")
        opening = "[" if value.startswith("[") and not comma else ""
        yield from (f"{head}{comma}{opening}{option}" for option in groups[key])
        return
    path = key.split(".")
    schema = _at(path[:-1], chosen).get("properties", {}).get(path[-1], {})
    for option in (schema, *schema.get("anyOf", ())):
        for item in option.get("enum", ()):
            yield "null" if item is None else str(item)
        if option.get("type") == "boolean":
            yield from ("true", "false")
        if option.get("type") == "null":
            yield "null"
