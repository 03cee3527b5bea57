"""A recipe, composed and checked: what the planner, the commands and the Python API work with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from taxiway.compose.locate import Locator
from taxiway.compose.recipe_config import RecipeConfig
from taxiway.compose.redact import redact, redact_text
from taxiway.errors import RecipeError
from taxiway.plugins import SECTIONS, Config, registry


@dataclass(frozen=True)
class Recipe:
    """One composed recipe.

    options: resolved, input paths absolute; this is what steps get. It may hold secrets.
    public: the same with environment values left as `${oc.env:NAME}`; only this is written down.
    secrets: environment value -> the name that stands for it in all output.
    """

    file: Path
    options: Mapping[str, Any]
    public: Mapping[str, Any]
    secrets: Mapping[str, str]
    locator: Locator
    common: RecipeConfig

    @property
    def name(self) -> str:
        return self.common.name

    @property
    def overrides(self) -> tuple[str, ...]:
        return self.locator.overrides.texts

    def section(self, section: str) -> Mapping[str, Any] | None:
        """The options of a section as plain data; None where the recipe has none."""
        value: Mapping[str, Any] | None = self.options.get(section)
        return value

    def typed(self, path: Sequence[str]) -> Config:
        """The options at `path`, such as `("optimize", "quantize_static")`, as the plugin's Config.

        Raises RecipeError, at the line, where a rule over several options is broken.
        """
        value: Any = self.options
        for part in path:
            value = value[part]
        kind = registry().get(path[0], value["type"]).step.Config
        config: Config = convert(value, path, kind, self.locator)
        return config

    def scrub(self, text: str) -> str:
        """`text` with each environment value that the recipe read replaced by its name."""
        return redact_text(text, self.secrets)

    def redacted(self, data: Any) -> Any:
        """The same of plain data, before it is encoded."""
        return redact(data, self.secrets)


def convert(
    value: Mapping[str, Any], path: Sequence[str], kind: type[Any], locator: Locator
) -> Any:
    """Plain options to a typed Config; RecipeError at the line of the option that is wrong.

    A Config names that option at the start of its ValueError: `gates.size.max: 3 has no unit`.
    """
    tagged = kind.__struct_config__.tag_field is not None
    plain = {key: item for key, item in value.items() if tagged or key != "type"}
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        inner = [part for part in where.rstrip("`").replace("[...]", "").split(".") if part]
        option = re.match(r"([\w.]+): ", message)
        if option:
            inner += option[1].split(".")
            message = message[option.end() :]
        full = (*path, *inner)
        raise RecipeError([locator.problem(full, f"{'.'.join(full)}: {message}")]) from error


def sections_of(recipe: Recipe) -> list[tuple[str, ...]]:
    """The paths of all plugin options in a recipe, in the order of the sections."""
    paths: list[tuple[str, ...]] = []
    for section in SECTIONS:
        value = recipe.section(section)
        if section == "optimize":
            paths += [(section, name) for name in value or {}]
        elif value:
            paths.append((section,))
    return paths
