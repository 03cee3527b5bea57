"""The root of the command line: knows names and one line of help, and imports one command's module."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from taxiway import __version__

COMMANDS = {
    "run": "run a recipe, or a sweep of it with --multirun",
    "validate": "check recipes without running them",
    "plan": "show the steps a run would take, and which are cached",
    "show": "print the composed recipe",
    "parity": "compare two models, and name the operator where they part",
    "diff": "compare two recipes, or two runs",
    "list": "list recipes, plugins, config groups or runs",
    "init": "write a starter recipe for a model file",
    "report": "show the results of a run again",
    "schema": "write the JSON Schemas that editors use",
    "doctor": "check versions, CPU features, extras and the cache",
    "gc": "remove cached results that are no longer needed",
    "completion": "print the completion script of a shell",
}
EPILOG = """examples:
  taxiway run digits_int8                        a shipped recipe
  taxiway run mine.yaml convert=onnx seed=1      your own, with overrides
  taxiway plan digits_int8                       what would run, and why
  taxiway list recipes

exit codes: 0 ok, 1 a step failed, 2 the recipe or command line is wrong, 3 a plugin is missing,
4 a gate failed, 5 refused for safety, 130 interrupted"""


def _help(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=28)


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="taxiway",
        description="From a YAML recipe to a verified, deployable model in one command.",
        epilog=EPILOG,
        formatter_class=_help,
    )
    root.add_argument("--version", action="version", version=f"taxiway {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    # Imports make many objects and no garbage: collecting in between costs a tenth of the start.
    gc.set_threshold(100_000)
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        parser().print_help()
        return 2
    if not words[0].startswith("-") and words[0] not in COMMANDS:
        near = get_close_matches(words[0], COMMANDS, n=1)
        hint = (
            f"did you mean 'taxiway {near[0]}'?" if near else "`taxiway --help` shows the commands"
        )
        print(f"error: no command '{words[0]}'\n  hint: {hint}", file=sys.stderr)
        return 2
    command = parser().parse_args(words[:1]).command
    module = importlib.import_module(f"taxiway.cli.{command}")
    from taxiway.errors import TaxiwayError

    try:
        return int(module.main(words[1:]))
    except TaxiwayError as error:
        return fail(error, as_json="--json" in words)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def fail(error: object, as_json: bool) -> int:
    """Print a user error where it belongs, and give its exit code."""
    from taxiway.errors import TaxiwayError

    assert isinstance(error, TaxiwayError)
    if as_json:
        import json

        print(json.dumps({**error.to_dict(), "exit_code": error.exit_code}, indent=2))
    else:
        print(error.render(), file=sys.stderr)
    return error.exit_code
