"""What differs between two recipes or two runs: options, and for runs figures and step keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taxiway.errors import UsageError
from taxiway.report.recipe_yaml import leaves
from taxiway.report.runs import read_run


@dataclass(frozen=True)
class Side:
    """One of the two: options as composed, and for a run its figures and step keys by name."""

    label: str
    options: Mapping[str, Any]
    figures: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """kind: `option`, `figure` or `step key`. a, b: the values; None where a side has none."""

    kind: str
    name: str
    a: Any
    b: Any


def side_of_run(folder: Path) -> Side:
    """A run from its folder. Raises UsageError where the folder holds no finished run."""
    result = read_run(folder)
    try:
        options = json.loads((folder / "recipe.json").read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder / 'recipe.json'} cannot be read: {error}", "run the recipe again"
        ) from error
    figures = {"status": result.status, "samples": result.samples, **result.metrics}
    return Side(str(folder), options, figures, {step.name: step.key for step in result.steps})


def differences(a: Side, b: Side) -> list[Difference]:
    """Options first, then figures, then step keys; the latter two where both sides are runs."""
    found = list(_compared("option", _flat(a.options), _flat(b.options)))
    if a.keys and b.keys:
        found += _compared("figure", _flat(a.figures), _flat(b.figures))
        found += _compared("step key", a.keys, b.keys)
    return found


def _compared(kind: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys((*a, *b)):
        one, other = a.get(name), b.get(name)
        if one != other:
            yield Difference(kind, name, one, other)


def _flat(node: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted path -> value. The order of the passes is an option, too."""
    order = {"optimize (order)": list(node["optimize"])} if node.get("optimize") else {}
    return order | {".".join(path): value for path, value in leaves(node)}
