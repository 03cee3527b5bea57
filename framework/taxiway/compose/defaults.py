"""The defaults list of a recipe, checked against the config groups that exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from taxiway.compose.document import Document
from taxiway.compose.hints import nearest
from taxiway.errors import Problem

SEVERAL = frozenset({"optimize"})
"""Groups of which a recipe may choose several options."""
_LAUNCHERS = {"basic": "", "joblib": "pip install 'taxiway[sweep]'"}


def check_defaults(recipe: Document, groups: Mapping[str, Mapping[str, Path]]) -> Iterator[Problem]:
    """Every entry that names a group or an option which does not exist."""
    root = recipe.root
    if not isinstance(root, yaml.MappingNode):
        return
    node = next((value for key, value in root.value if key.value == "defaults"), None)
    if node is None:
        place = recipe.place(root.start_mark)
        yield place.problem(
            "a recipe needs a defaults list", "begin with:\n    defaults:\n      - base"
        )
        return
    if not isinstance(node, yaml.SequenceNode):
        yield recipe.place(node.start_mark).problem(
            "defaults must be a list", "write `- base`, `- source: keras`"
        )
        return
    if not any(entry.value == "_self_" for entry in node.value):
        yield recipe.place(node.start_mark).problem(
            "the defaults list has no `_self_`, so it is open whether the recipe's values win",
            "add `- _self_` as its last entry",
        )
    for entry in node.value:
        if isinstance(entry, yaml.ScalarNode):
            if entry.value not in ("base", "_self_") and entry.value.split("/")[0] not in groups:
                place = recipe.place(entry.start_mark)
                yield place.problem(
                    f"no config '{entry.value}'",
                    f"write `- GROUP: OPTION`; groups: {', '.join(groups)}",
                )
        elif isinstance(entry, yaml.MappingNode):
            yield from _entry(recipe, entry, groups)
        else:
            yield recipe.place(entry.start_mark).problem("an entry is `GROUP: OPTION`, not a list")


def _entry(
    recipe: Document, entry: yaml.MappingNode, groups: Mapping[str, Mapping[str, Path]]
) -> Iterator[Problem]:
    for key, value in entry.value:
        words = str(key.value).split()
        group = words[-1].split("@")[0].removeprefix("/")
        known = _LAUNCHERS if group == "hydra/launcher" else groups.get(group)
        if known is None:
            yield recipe.place(key.start_mark).problem(
                f"no config group '{group}'", nearest(group, groups)
            )
            continue
        if isinstance(value, yaml.SequenceNode) and group not in SEVERAL:
            yield recipe.place(value.start_mark).problem(
                f"{group} takes one option, not a list", f"write `- {group}: OPTION`"
            )
            continue
        for item in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            name = str(item.value)
            empty = item.tag.endswith(":null") or name == "???" or "${" in name
            if isinstance(item, yaml.ScalarNode) and not empty and name not in known:
                yield recipe.place(item.start_mark).problem(
                    f"no {group} '{name}'", nearest(name, known)
                )
