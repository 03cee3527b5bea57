"""`taxiway plan`: the steps of a run, which of them are cached, and why the others are not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from taxiway.cli.args import add_json, add_recipe, add_store, command

if TYPE_CHECKING:
    from taxiway.execute.attempts import Settled
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
    from taxiway.execute.attempts import settle
    from taxiway.execute.forecast import forecast
    from taxiway.execute.store import Store, default_root

    recipe = api.load(
        arguments.recipe,
        arguments.overrides,
        config_dirs=arguments.config_dir,
        allow_paths=arguments.allow_path,
    )
    store = Store(arguments.store or default_root())
    settled = settle(recipe.composed, store, recipe.plan(store=arguments.store))
    found = forecast(settled.plan, store, settled.blocked[:1])
    if arguments.json:
        print(json.dumps([_plain(item) for item in found], indent=2))
    else:
        _show(found)
        _show_ways(settled)
        for problem in settled.plan.warnings:
            print(f"\n{problem.render()}")
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

    from taxiway.report.steps import label
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
        shown.add_row(
            label(step.name), formats, Text(item.state, styles[item.state]), Text(item.why)
        )
    console().print(shown)


def _show_ways(settled: Settled) -> None:
    """The ways to convert where there are several: those known to fail, the one taken, the others."""
    from rich.text import Text

    from taxiway.report.summary import console

    plan = settled.plan
    if len(plan.routes) < 2:
        return
    failed = {attempt.formats: attempt for attempt in (*settled.failed, *settled.blocked)}
    screen = console()
    screen.print()
    for number, formats in enumerate(plan.routes):
        line = Text("ways  " if number == 0 else "      ", "dim")
        line.append(" → ".join(formats), "" if number == plan.route else "dim")
        if formats in failed:
            line.append(f"  {failed[formats].step}: {failed[formats].reason}", "yellow")
        elif number == plan.route:
            line.append("  taken", "green")
        screen.print(line)
