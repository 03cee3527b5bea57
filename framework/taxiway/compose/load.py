"""From a recipe's name to a checked Recipe: compose, resolve, validate, and report all mistakes at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from taxiway.compose import engine, overrides, reader, schema
from taxiway.compose.assets import config_folders, config_groups, find_recipe
from taxiway.compose.defaults import check_defaults
from taxiway.compose.document import Document
from taxiway.compose.inputs import absolute_inputs, queries, without_queries
from taxiway.compose.locate import Locator
from taxiway.compose.recipe import Recipe, convert, sections_of
from taxiway.compose.recipe_config import RecipeConfig
from taxiway.compose.redact import redact_problems
from taxiway.compose.resolve import Resolved, bounded, public, recorded, resolve
from taxiway.compose.static import check_as_written, locate, mistakes, ordered
from taxiway.errors import Problem, RecipeError
from taxiway.plugins import registry

MAX_NUMBER = 2**64
_WRITTEN = (("name",), ("deploy",), ("data", "class_names"))
"""What a run writes as it is: into a bundle, or as the name of a folder."""


def load(
    name: str | Path,
    overrides: Sequence[str] = (),
    config_dirs: Sequence[Path] = (),
    allowed: Sequence[Path] = (),
) -> Recipe:
    """Compose and check a recipe.

    name: a shipped recipe's name, or a path. overrides: Hydra's grammar. config_dirs: more config
    groups. allowed: folders, besides the recipe's own, that its input paths may lead to.
    Raises RecipeError with every mistake found, each at its file and line.
    """
    with recorded() as secrets:
        try:
            return _checked(Path(name), overrides, tuple(config_dirs), tuple(allowed), secrets)
        except RecipeError as error:
            raise redact_problems(error, secrets) from None


def _checked(
    name: Path,
    texts: Sequence[str],
    config_dirs: tuple[Path, ...],
    allowed: tuple[Path, ...],
    secrets: Mapping[str, str],
) -> Recipe:
    file = find_recipe(str(name))
    folders = config_folders(file, config_dirs)
    groups = config_groups(folders)
    problems: list[Problem] = []
    recipe_document = _try(problems, lambda: reader.read(file))
    chosen = recipe_document.groups() if recipe_document else frozenset(groups)
    parsed = _try(problems, lambda: overrides.parse(texts, groups, chosen))
    if recipe_document is not None:
        broken = list(check_defaults(recipe_document, groups))
        problems += broken
        if broken or parsed is None:
            problems += check_as_written(recipe_document)
    if problems or recipe_document is None or parsed is None:
        raise RecipeError(ordered(problems))
    with engine.engine((file.parent, *folders)) as hydra:
        config = _compose(hydra, file, parsed, recipe_document)
        OmegaConf.set_struct(config, False)
        config.pop("hydra")
        for section in parsed.dropped:
            config[section] = {} if section in schema.NAMED else None
        with bounded():
            values = resolve(config)
            shown = public(config)
    merged = engine.Merged(file, (file.parent, *folders), tuple(parsed.hydra))
    locator = Locator(parsed, merged, recipe_document.label)
    problems = _validate(values, shown, locator)
    if problems:
        raise RecipeError(ordered(problems))
    options = absolute_inputs(values.data, shown, file.parent, allowed, locator)
    secrets = {**secrets, **{url.query: "?..." for url in queries(options).values()}}
    shown = without_queries(shown, queries(options))
    common = {key: options[key] for key in RecipeConfig.__struct_fields__ if key in options}
    recipe = Recipe(
        file, options, shown, dict(secrets), locator, convert(common, (), RecipeConfig, locator)
    )
    _typed(recipe)
    return recipe


def _try(problems: list[Problem], work: Any) -> Any:
    try:
        return work()
    except RecipeError as error:
        problems += error.problems
        return None


def _compose(
    hydra: Any, file: Path, parsed: overrides.Overrides, recipe_document: Document
) -> DictConfig:
    try:
        return engine.compose(hydra, file, parsed.hydra)
    except MissingConfigException as error:
        raise RecipeError([_missing_config(error, recipe_document)]) from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        written = check_as_written(recipe_document)
        raise RecipeError(written or [_composition(error, parsed, recipe_document)]) from error


def _missing_config(error: MissingConfigException, recipe: Document) -> Problem:
    wanted = error.missing_cfg_file or "?"
    near = get_close_matches(str(wanted).rsplit("/", 1)[-1], error.options or [], n=1)
    hint = f"did you mean '{near[0]}'?" if near else None
    place = recipe.find(("defaults",))
    message = f"no config '{wanted}'"
    return place.problem(message, hint) if place else Problem(message, recipe.label, hint=hint)


def _composition(error: Exception, parsed: overrides.Overrides, recipe: Document) -> Problem:
    """A Hydra or OmegaConf complaint, at the override that it is about where it names one."""
    text = str(error).split("\n")[0]
    for index, (typed, override) in enumerate(zip(parsed.texts, parsed.parsed, strict=True)):
        if f"'{override.key_or_group}" in text or (override.input_line == typed and typed in text):
            place = overrides.place(typed, index)
            if text.startswith("Error merging override"):
                return place.problem(
                    f"{override.key_or_group} takes another kind of value: a mapping, or a list"
                )
            hint = "`taxiway show RECIPE` prints what there is" if override.is_delete() else None
            return place.problem(text, hint)
    cause = error.__cause__
    detail = f": {str(cause).splitlines()[0]}" if cause and str(cause) else ""
    return Problem(f"the recipe cannot be composed: {text}{detail}", recipe.label, 1, 1)


def _validate(values: Resolved, shown: Any, locator: Locator) -> list[Problem]:
    problems = []
    for path in values.missing:
        name = ".".join(map(str, path))
        hint = f"set it in the recipe, or on the command line: {name}=..."
        problems.append(locator.problem(path, f"{name} has no value", hint))
    for path, reason in values.failed:
        problems.append(locator.problem(path, *_unresolved(".".join(map(str, path)), reason)))
    unknown = {
        tuple(map(str, path)) for path in (*values.missing, *(path for path, _ in values.failed))
    }
    for mistake in mistakes(values.data, schema.load_resolved(registry()), shown):
        if tuple(map(str, mistake.path)) not in unknown:
            problems.append(locate(mistake, locator))
    for path, number in _numbers(values.data, ()):
        if not abs(number) < MAX_NUMBER:
            message = f"{'.'.join(map(str, path))} is {number}; a number is finite and below 2**64"
            problems.append(locator.problem(path, message))
    for path in _differing(values.data, shown, ()):
        if path[:1] in _WRITTEN or path[:2] in _WRITTEN:
            name = ".".join(map(str, path))
            message = (
                f"{name} comes from the environment, but it is written into files or their names"
            )
            problems.append(locator.problem(path, message, "write the value itself"))
    return problems


def _differing(values: Any, shown: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The paths of the values that came from the environment."""
    if isinstance(values, dict) and isinstance(shown, dict):
        for key, value in values.items():
            yield from _differing(value, shown.get(key), (*path, key))
    elif values != shown:
        yield path


def _numbers(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], float]]:
    if isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _numbers(child, (*path, key))
    elif isinstance(value, int | float):
        yield path, value


def _unresolved(name: str, reason: str) -> tuple[str, str | None]:
    """Message and hint for an interpolation that has no value."""
    variable = re.search(r"Environment variable '(\w+)' not found", reason)
    if variable:
        message = f"{name}: the environment variable {variable[1]} is not set"
        return message, f"export {variable[1]}=..., or on the command line: {name}=..."
    return f"{name}: {reason}", None


def _typed(recipe: Recipe) -> None:
    problems: list[Problem] = []
    for path in sections_of(recipe):
        _try(problems, lambda path=path: recipe.typed(path))
    if problems:
        raise RecipeError(ordered(problems))
