"""`taxiway list`: recipes, plugins, config groups, runs, from files and entry points alone."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from taxiway.cli.args import add_json, add_output, command
from taxiway.cli.table import emit
from taxiway.errors import UsageError

EXAMPLES = """  taxiway list                    shipped recipes, and those of the working folder
  taxiway list plugins            every installed plugin and the package it came from
  taxiway list groups --json
  taxiway list runs --output /tmp/runs"""


def main(argv: list[str]) -> int:
    parser = command("list", "List recipes, plugins, config groups or finished runs.", EXAMPLES)
    parser.add_argument("what", nargs="?", default="recipes", help=f"{', '.join(_LISTS)} (recipes)")
    add_output(parser, "where runs are looked for (runs)")
    add_json(parser)
    arguments = parser.parse_args(argv)
    if arguments.what not in _LISTS:
        near = get_close_matches(arguments.what, _LISTS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"one of: {', '.join(_LISTS)}"
        raise UsageError(f"nothing to list is called '{arguments.what}'", hint)
    columns, rows = _LISTS[arguments.what]
    emit(columns, list(rows(arguments.output)), arguments.json)
    return 0


def _recipes(output: Path) -> Iterator[dict[str, Any]]:
    from taxiway.author.outline import is_recipe, outline
    from taxiway.compose.assets import shipped_recipes

    own = {path.name: path for path in sorted(Path().glob("*.yaml")) if is_recipe(path)}
    for name, path in {**shipped_recipes(), **own}.items():
        read = outline(path)
        source = read.first("source")
        yield {
            "recipe": name,
            "models": f"{source or '?'} -> {read.first('convert') or source or '?'}",
            "description": read.description,
            "path": str(path),
        }


def _plugins(output: Path) -> Iterator[dict[str, Any]]:
    from taxiway.plugins import SECTIONS, registry

    for section in SECTIONS:
        for name, plugin in registry().section(section).items():
            yield {"section": section, "plugin": name, "from": plugin.origin}


def _groups(output: Path) -> Iterator[dict[str, Any]]:
    from taxiway.compose.assets import config_folders, config_groups

    for group, options in config_groups(config_folders(Path.cwd() / "recipe.yaml")).items():
        for option, path in options.items():
            yield {"group": group, "option": option, "path": str(path)}


def _runs(output: Path) -> Iterator[dict[str, Any]]:
    from taxiway.plugins.quantity import show_bytes
    from taxiway.report.runs import runs_in

    for folder, result in runs_in(output):
        figures = result.metrics.get("result", {})
        accuracy, size = figures.get("accuracy"), figures.get("size")
        yield {
            "run": str(folder),
            "status": result.status,
            "accuracy": None if accuracy is None else f"{100 * accuracy:.2f} %",
            "size": None if size is None else show_bytes(size),
        }


_LISTS = {
    "recipes": (("recipe", "models", "description"), _recipes),
    "plugins": (("section", "plugin", "from"), _plugins),
    "groups": (("group", "option", "path"), _groups),
    "runs": (("run", "status", "accuracy", "size"), _runs),
}
