"""`taxiway run`: a recipe from source to bundle."""

from __future__ import annotations

from pathlib import Path

from taxiway.cli.args import add_json, add_recipe, add_store, command

EXAMPLES = """  taxiway run digits_int8
  taxiway run digits_int8 optimize.quantize_static.calibration.samples=128
  taxiway run ./mine/recipe.yaml --output /tmp/runs
  taxiway run digits_int8 --multirun 'optimize.quantize_static.calibration.samples=32,128,512'
  taxiway run digits_int8 --lock        pin it; later: taxiway run digits_int8 --locked"""


def main(argv: list[str]) -> int:
    parser = command("run", "Run a recipe: each step from the cache, or in a worker process.", EXAMPLES)
    add_recipe(parser)
    add_store(parser)
    add_json(parser)
    parser.add_argument(
        "--output", type=Path, default=Path("runs"), metavar="DIR", help="where NAME/TIME/ is made (runs)"
    )
    arguments = parser.parse_intermixed_args(argv)
    from taxiway import api
    from taxiway.execute.run import NotAccepted
    from taxiway.report.progress import progress
    from taxiway.report.summary import console, summary

    recipe = api.load(
        arguments.recipe,
        arguments.overrides,
        config_dirs=arguments.config_dir,
        allow_paths=arguments.allow_path,
    )
    if arguments.json:
        result = recipe.run(output=arguments.output, store=arguments.store)
        print(result.to_json().decode(), end="")
        return 0
    screen = console()
    try:
        with progress(screen) as observer:
            result = recipe.run(output=arguments.output, store=arguments.store, observers=[observer])
    except NotAccepted as error:
        screen.print(summary(error.result))
        raise
    screen.print(summary(result))
    return 0
