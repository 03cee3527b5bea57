"""A recipe file checked as written, before composition: what an editor checks, and without Hydra."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from taxiway.compose import document, schema
from taxiway.compose.assets import config_folders, config_groups
from taxiway.compose.defaults import check_defaults
from taxiway.compose.explain import Mistake, explain
from taxiway.compose.locate import Locator, NoOverrides
from taxiway.errors import Problem, RecipeError
from taxiway.plugins import registry


def validate_static(file: Path, config_dirs: tuple[Path, ...] = ()) -> None:
    """Check one file. Raises RecipeError with every mistake in it."""
    recipe = document.read(file)
    problems = list(check_defaults(recipe, config_groups(config_folders(file, config_dirs))))
    problems += check_as_written(recipe)
    if problems:
        raise RecipeError(ordered(problems))


def check_as_written(recipe: document.Document) -> list[Problem]:
    """The mistakes in the values of a file, by the rules of `recipe.schema.json`."""
    from yaml import SafeLoader, load

    data = load(recipe.text, Loader=SafeLoader)
    body = schema.recipe(registry(), {})
    body["properties"]["defaults"] = {}  # check_defaults knows the config folders; the schema does not
    locator = Locator(NoOverrides(), ((recipe, ()),))
    return [locate(mistake, locator) for mistake in mistakes(data, body, data)]


def mistakes(data: Any, body: Mapping[str, Any], shown: Any) -> Iterator[Mistake]:
    """Every mistake that a schema finds in `data`; values are quoted from `shown`."""
    for error in Draft202012Validator(body).iter_errors(data):
        yield from explain(error, shown)


def locate(mistake: Mistake, locator: Locator) -> Problem:
    return locator.problem(mistake.path, mistake.message, mistake.hint, mistake.at_value)


def ordered(problems: Iterable[Problem]) -> list[Problem]:
    """Without repetition, in the order of files, lines and columns."""
    return sorted(dict.fromkeys(problems), key=lambda p: (p.file or "", p.line or 0, p.column or 0))
