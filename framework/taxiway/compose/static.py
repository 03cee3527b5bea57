"""A recipe file checked as written, before composition: what an editor checks, and without Hydra."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from taxiway.compose import reader, schema
from taxiway.compose.assets import config_folders, config_groups
from taxiway.compose.defaults import check_defaults
from taxiway.compose.document import Document
from taxiway.compose.explain import Mistake, explain
from taxiway.compose.locate import LABEL, Locator, NoOverrides
from taxiway.errors import Problem, RecipeError
from taxiway.plugins import registry


def validate_static(file: Path, config_dirs: tuple[Path, ...] = ()) -> None:
    """Check one file. Raises RecipeError with every mistake in it."""
    recipe = reader.read(file)
    problems = list(check_defaults(recipe, config_groups(config_folders(file, config_dirs))))
    problems += check_as_written(recipe)
    if problems:
        raise RecipeError(ordered(problems))


def check_as_written(recipe: Document) -> list[Problem]:
    """The mistakes in the values of a file, by the rules of `recipe.schema.json`."""
    data = recipe.data
    body = schema.recipe(registry(), {})
    # check_defaults knows the config folders; the schema does not.
    body["properties"]["defaults"] = {}
    body["required"] = ["name"]
    locator = Locator(NoOverrides(), lambda: ((recipe, ()),), recipe.label)
    return [locate(mistake, locator) for mistake in mistakes(data, body, data)]


def mistakes(data: Any, body: Mapping[str, Any], shown: Any) -> Iterator[Mistake]:
    """Every mistake that a schema finds in `data`; values are quoted from `shown`."""
    for error in Draft202012Validator(body).iter_errors(data):
        yield from explain(error, shown)


def locate(mistake: Mistake, locator: Locator) -> Problem:
    return locator.problem(mistake.path, mistake.message, mistake.hint, mistake.at_value)


def ordered(problems: Iterable[Problem]) -> list[Problem]:
    """Without repetition, in the order of files, lines and columns; the command line comes last."""

    def order(problem: Problem) -> tuple[bool, str, int, int]:
        file = problem.file or ""
        return file == LABEL, file, problem.line or 0, problem.column or 0

    unique = {
        (problem.file, problem.line, problem.column, problem.message): problem
        for problem in problems
    }
    return sorted(unique.values(), key=order)
