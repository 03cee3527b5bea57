"""`taxiway plan`: the steps of a run, which of them are cached, and why the others are not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from taxiway.cli.args import add_json, add_recipe, add_store, command

if TYPE_CHECKING:
    from taxiway.execute.forecast import Forecast

EXAMPLES = """  taxiway plan digits_int8
  taxiway plan digits_int8 optimize.quantize_static.calibration.samples=64
  taxiway plan mine.yaml --json"""


def main(argv: list[str]) -> int:
    parser = command(
        "plan", "Show the steps a run would take: cached, run or blocked, and why.", EXAMPLES
    )
    add_recipe(parser)
    add_store(parser)
    add_json(parser)
    arguments = parser.parse_intermixed_args(argv)
    from taxiway import api
    from taxiway.execute.forecast import forecast
    from taxiway.execute.store import Store, default_root

    recipe = api.load(
        arguments.recipe,
        arguments.overrides,
        config_dirs=arguments.config_dir,
        allow_paths=arguments.allow_path,
    )
    found = forecast(recipe.plan(arguments.store), Store(arguments.store or default_root()))
    if arguments.json:
        print(json.dumps([_plain(item) for item in found], indent=2))
    else:
        _show(found)
    return 0


def _plain(item: Forecast) -> dict[str, object]:
    step = item.step
    return {
        "step": step.name,
        "plugin": f"{step.section}.{step.plugin.name}",
        "takes": step.takes,
        "gives": step.gives,
        "state": item.state,
        "why": item.why,
        "key": step.key,
    }


def _show(found: list[Forecast]) -> None:
    from rich.text import Text

    from taxiway.report.summary import console, table

    shown = table("step", "formats", "", "why")
    for column in shown.columns:
        column.justify = "left"
    styles = {"cached": "cyan", "run": "green", "blocked": "red"}
    for item in found:
        step = item.step
        if step.gives is None:
            formats = step.takes or ""
        elif step.takes in (None, step.gives):
            formats = step.gives
        else:
            formats = f"{step.takes} → {step.gives}"
        shown.add_row(step.name, formats, Text(item.state, styles[item.state]), item.why)
    console().print(shown)
