"""`taxiway run --multirun`: a recipe at every point of a sweep."""

from __future__ import annotations

from argparse import Namespace

from taxiway.errors import RecipeError, UsageError


def multirun(arguments: Namespace) -> int:
    """Check every point, run them, and print one comparison. The exit code is the worst point's."""
    from taxiway.compose.sweep import points, sweep
    from taxiway.execute.folder import RunFolder
    from taxiway.execute.planner import make_plan
    from taxiway.execute.store import default_root
    from taxiway.execute.sweep import SweepTask, write_report
    from taxiway.report.comparison import comparison
    from taxiway.report.progress import PlainProgress
    from taxiway.report.summary import console, relative

    if arguments.lock or arguments.locked:
        raise UsageError("a sweep has no lock file", "run one point by itself with --lock")
    recipes = points(
        arguments.recipe, arguments.overrides, arguments.config_dir, arguments.allow_path
    )
    problems = []
    for recipe in recipes:
        try:
            make_plan(recipe)
        except RecipeError as error:
            problems += error.problems
    if problems:
        raise RecipeError(problems)
    folder = RunFolder.create(arguments.output.absolute(), recipes[0].name, "sweep_").path
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
