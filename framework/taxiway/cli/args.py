"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from taxiway.errors import UsageError


class Parser(argparse.ArgumentParser):
    """A parser whose errors are Taxiway's: one line, a hint, exit code 2."""

    def error(self, message: str) -> NoReturn:
        # parse_intermixed_args counts optional words among the required ones.
        message = message.replace(", OVERRIDE", "")
        raise UsageError(f"{self.prog}: {message}", f"`{self.prog} --help` shows examples")


def command(name: str, summary: str, examples: str = "") -> Parser:
    """The parser of one command."""
    return Parser(
        prog=f"taxiway {name}",
        description=summary,
        epilog=f"examples:\n{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """A recipe, its overrides, and where it may look."""
    parser.add_argument("recipe", help="a shipped recipe's name, or the path of a .yaml file")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="OVERRIDE",
        help="Hydra's grammar: key=value, group=option, ~key, +key=value; flags may stand between them",
    )
    add_search(parser)


def add_search(parser: argparse.ArgumentParser) -> None:
    """Where config groups and input paths may lie besides the recipe's own folder."""
    parser.add_argument(
        "--config-dir",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="more config groups (repeatable); conf/ beside the recipe is found without it",
    )
    parser.add_argument(
        "--allow-path",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a folder besides the recipe's own that its paths may lead to (repeatable)",
    )


def add_output(parser: argparse.ArgumentParser, purpose: str) -> None:
    """The folder of runs."""
    parser.add_argument("--output", type=Path, default=Path("runs"), metavar="DIR", help=purpose)


def add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="where results are cached (default: TAXIWAY_STORE, or the user's cache folder)",
    )
