"""`taxiway diff`: two recipes, or two runs, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.cli.args import add_json, add_search, command
from taxiway.cli.table import emit

if TYPE_CHECKING:
    from taxiway.report.difference import Side

EXAMPLES = """  taxiway diff digits_int8 mine.yaml
  taxiway diff digits_int8 mine.yaml seed=1        the override is applied to both
  taxiway diff runs/digits_int8/2026-01-05_10-00-00 runs/digits_int8/2026-01-06_10-00-00
  taxiway diff runs/digits_int8/2026-01-05_10-00-00 digits_int8 --json"""


def main(argv: list[str]) -> int:
    parser = command("diff", "Show what differs between two recipes or run folders.", EXAMPLES)
    for name in ("a", "b"):
        parser.add_argument(
            name, metavar=name.upper(), help="a recipe's name or path, or a run's folder"
        )
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="applied to each recipe")
    add_search(parser)
    add_json(parser)
    arguments = parser.parse_intermixed_args(argv)
    from dataclasses import asdict

    from taxiway.report.difference import differences

    found = [
        asdict(d) for d in differences(_side(arguments.a, arguments), _side(arguments.b, arguments))
    ]
    if found or arguments.json:
        rows = found if arguments.json else [_short(row) for row in found]
        emit(("kind", "name", "a", "b"), rows, arguments.json)
    else:
        print("no difference")
    return 0


def _side(name: str, arguments: argparse.Namespace) -> Side:
    from taxiway import api
    from taxiway.report.difference import Side, side_of_run

    if Path(name).is_dir():
        return side_of_run(Path(name))
    recipe = api.load(
        name,
        arguments.overrides,
        config_dirs=arguments.config_dir,
        allow_paths=arguments.allow_path,
    )
    return Side(name, recipe.composed.public)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """Values as they fit into a line."""
    return {name: _cut(row["kind"], value) for name, value in row.items()}


def _cut(kind: str, value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return (
        value
        if value is None
        else text[:12]
        if kind == "step key" and len(text) == 64
        else text[:60]
    )
