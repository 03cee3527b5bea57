"""`taxiway run`: a recipe from source to bundle."""

from __future__ import annotations

import signal
from argparse import Namespace
from pathlib import Path

from taxiway.cli.args import add_json, add_output, add_recipe, add_store, command

EXAMPLES = """  taxiway run digits_int8
  taxiway run digits_int8 optimize.quantize_static.calibration.samples=128
  taxiway run ./mine/recipe.yaml --output /tmp/runs
  taxiway run digits_int8 --multirun 'optimize.quantize_static.calibration.samples=32,128,512'
  taxiway run digits_int8 --lock        pin it; later: taxiway run digits_int8 --locked"""


def main(argv: list[str]) -> int:
    parser = command(
        "run", "Run a recipe: each step from the cache, or in a worker process.", EXAMPLES
    )
    add_recipe(parser)
    add_store(parser)
    add_json(parser)
    add_output(parser, "where NAME/TIME/ is made (runs)")
    parser.add_argument(
        "-m", "--multirun", action="store_true", help="sweep over comma-separated overrides"
    )
    parser.add_argument(
        "--lock", action="store_true", help="write NAME.lock beside the recipe when the run is done"
    )
    parser.add_argument("--locked", action="store_true", help="refuse to differ from NAME.lock")
    parser.add_argument(
        "--lock-file",
        type=Path,
        metavar="FILE",
        help="a lock file elsewhere, for --lock and --locked",
    )
    arguments = parser.parse_intermixed_args(argv)
    # A service manager's stop is Ctrl-C to a run: nothing half-written, no worker left, exit code 130.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if arguments.multirun:
        from taxiway.cli.multirun import multirun

        return multirun(arguments)
    return _run(arguments)


def _run(arguments: Namespace) -> int:
    from contextlib import nullcontext

    from taxiway import api
    from taxiway.execute.lockfile import lock_path
    from taxiway.execute.run import NotAccepted
    from taxiway.report.progress import progress
    from taxiway.report.summary import console, relative, summary
    from taxiway.safety.output import refuse_link, write_file

    recipe = api.load(
        arguments.recipe,
        arguments.overrides,
        config_dirs=arguments.config_dir,
        allow_paths=arguments.allow_path,
    )
    lock_file = arguments.lock_file or lock_path(recipe.composed)
    if arguments.lock:
        refuse_link(lock_file, "lock file")
    screen = console()
    show = screen.print if not arguments.json else _nothing
    try:
        with nullcontext() if arguments.json else progress(screen) as observer:
            result = recipe.run(
                output=arguments.output,
                store=arguments.store,
                observers=[observer] if observer else [],
                locked=lock_file if arguments.locked else None,
            )
    except NotAccepted as error:
        show(summary(error.result))
        raise
    show(summary(result))
    if arguments.lock:
        write_file(lock_file, (result.folder / f"{result.name}.lock").read_bytes(), "lock file")
        show(f"lock    {relative(lock_file)}")
    if arguments.json:
        print(result.to_json().decode(), end="")
    return 0


def _nothing(*_: object) -> None:
    return None
