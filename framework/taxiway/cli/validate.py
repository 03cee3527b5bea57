"""`taxiway validate`: every mistake in a recipe, without running it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from taxiway.cli.args import Parser, add_json, add_recipe, command
from taxiway.errors import Problem

EXAMPLES = """  taxiway validate digits_int8
  taxiway validate mine.yaml optimize.quantize_static.calibration.samples=64
  taxiway validate --static mine.yaml      the file as written, without composing it
  taxiway validate --all                   every shipped recipe"""


def main(argv: list[str]) -> int:
    parser = command(
        "validate",
        "Check a recipe: the file, its composition, and the order of its steps.",
        EXAMPLES,
    )
    add_recipe(parser)
    add_json(parser)
    parser.add_argument(
        "--static", action="store_true", help="check the file as written; do not compose it"
    )
    parser.add_argument("--all", action="store_true", help="check every shipped recipe")
    arguments = _parse(parser, argv)
    from taxiway.compose.assets import shipped_recipes
    from taxiway.errors import TaxiwayError

    names = list(shipped_recipes()) if arguments.all else [arguments.recipe]
    worst, report = 0, []
    for name in names:
        try:
            warnings = _check(name, arguments)
            found = {"warnings": [asdict(problem) for problem in warnings]} if warnings else {}
            report.append({"recipe": name, "ok": True, **found})
            if not arguments.json:
                print(*(problem.render() for problem in warnings), f"{name}: ok", sep="\n")
        except TaxiwayError as error:
            worst = max(worst, error.exit_code)
            if not arguments.all and not arguments.json:
                raise
            report.append({"recipe": name, "ok": False, **error.to_dict()})
            if not arguments.json:
                print(f"{name}:\n{error.render()}")
    if arguments.json:
        print(json.dumps(report, indent=2))
    return worst


def _parse(parser: Parser, argv: list[str]) -> Any:
    if "--all" in argv:
        for action in parser._actions:
            if action.dest == "recipe":
                action.nargs, action.default = "?", None
    return parser.parse_intermixed_args(argv)


def _check(name: str, arguments: Any) -> Sequence[Problem]:
    """The warnings; raises TaxiwayError for anything worse."""
    if arguments.static:
        from taxiway.compose.assets import find_recipe
        from taxiway.compose.static import validate_static

        validate_static(find_recipe(name), tuple(Path(folder) for folder in arguments.config_dir))
        return ()
    from taxiway import api

    recipe = api.load(
        name,
        arguments.overrides,
        config_dirs=arguments.config_dir,
        allow_paths=arguments.allow_path,
    )
    return recipe.plan().warnings
