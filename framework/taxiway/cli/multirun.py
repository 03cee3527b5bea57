"""`taxiway run --multirun`: a recipe at every point of a sweep."""

from __future__ import annotations

import time
from argparse import Namespace

from taxiway.errors import UsageError


def multirun(arguments: Namespace) -> int:
    """Check every point, run them, and print one comparison. The exit code is the worst point's."""
    from taxiway.compose.sweep import points, sweep
    from taxiway.execute.plan import make_plan
    from taxiway.execute.store import default_root
    from taxiway.execute.sweep import SweepTask, write_report
    from taxiway.report.comparison import comparison
    from taxiway.report.progress import PlainProgress
    from taxiway.report.summary import console, relative
    from taxiway.safety.output import refuse_link

    if arguments.lock or arguments.locked:
        raise UsageError("a sweep has no lock file", "run one point by itself with --lock")
    recipes = points(
        arguments.recipe, arguments.overrides, arguments.config_dir, arguments.allow_path
    )
    for recipe in recipes:
        make_plan(recipe)
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    folder = arguments.output.absolute() / recipes[0].name / f"sweep_{stamp}"
    for part in (arguments.output, folder.parent):
        refuse_link(part, "output folder", "name the folder itself: --output DIR")
    screen = console()
    observer = None if arguments.json else PlainProgress
    store = (arguments.store or default_root()).absolute()
    task = SweepTask(tuple(recipes), folder, store, observer)
    results = sweep(recipes, arguments.overrides, folder, task, arguments.config_dir)
    report = write_report(results, folder)
    if arguments.json:
        print(report.read_text(), end="")
    else:
        screen.print()
        screen.print(comparison(results))
        screen.print(f"\n[dim]report[/dim]  {relative(report)}")
    return max(int(point.exit_code) for point in results)
