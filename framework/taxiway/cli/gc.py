"""`taxiway gc`: make the store smaller."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from taxiway.cli.args import add_json, add_store, command
from taxiway.cli.table import aligned
from taxiway.errors import UsageError

EXAMPLES = """  taxiway gc                           damaged and unfinished entries only
  taxiway gc --older-than '30 d'       also results not used for 30 days
  taxiway gc --max-size '2 GiB'        also the results used longest ago, until the rest fits
  taxiway gc --all --dry-run           say what would go"""

T = TypeVar("T")


def main(argv: list[str]) -> int:
    parser = command(
        "gc",
        "Remove cached results that are no longer needed; a later run makes them again.",
        EXAMPLES,
    )
    limits = parser.add_mutually_exclusive_group()
    limits.add_argument(
        "--older-than", metavar="TIME", help="results not used for this time, such as '30 d'"
    )
    limits.add_argument(
        "--max-size", metavar="SIZE", help="results beyond this size, such as '2 GiB'"
    )
    limits.add_argument("--all", action="store_true", help="every result")
    parser.add_argument(
        "--dry-run", action="store_true", help="remove nothing, say what would be removed"
    )
    add_store(parser)
    add_json(parser)
    arguments = parser.parse_args(argv)
    from taxiway.execute import gc
    from taxiway.execute.store import default_root
    from taxiway.plugins.quantity import seconds, show_bytes, size_in_bytes

    older_than = _read(arguments.older_than, "--older-than", seconds)
    max_size = _read(arguments.max_size, "--max-size", size_in_bytes)
    root = arguments.store or default_root()
    _refuse_other_folders(root, arguments.store)
    found = gc.items(root)
    chosen = gc.unwanted(found, older_than=older_than, max_size=max_size, everything=arguments.all)
    gone = chosen if arguments.dry_run else gc.remove(root, chosen)
    freed, kept = sum(item.size for item in gone), sum(item.size for item in found)
    if arguments.json:
        removed = [
            {"kind": i.kind, "key": i.key, "step": i.step, "recipe": i.recipe, "size": i.size}
            for i in gone
        ]
        body = {
            "store": str(root),
            "dry_run": arguments.dry_run,
            "freed": freed,
            "kept": kept - freed,
        }
        print(json.dumps({**body, "in_use": len(chosen) - len(gone), "removed": removed}, indent=2))
        return 0
    if gone:
        rows = [
            {
                "kind": i.kind,
                "recipe": i.recipe,
                "step": i.step,
                "size": show_bytes(i.size),
                "key": i.key[:12],
            }
            for i in gone
        ]
        print(aligned(("kind", "recipe", "step", "size", "key"), rows) + "\n")
    verb = "would be freed" if arguments.dry_run else "freed"
    print(f"{root}: {show_bytes(freed)} {verb}, {show_bytes(kept - freed)} kept")
    if len(chosen) > len(gone):
        print(f"{len(chosen) - len(gone)} kept because a run is using the store")
    return 0


def _read(text: str | None, flag: str, parse: Callable[[str], T]) -> T | None:
    try:
        return None if text is None else parse(text)
    except ValueError as error:
        raise UsageError(
            f"{flag} {text!r}: {error}", "`taxiway gc --help` shows examples"
        ) from None


def _refuse_other_folders(root: Path, given: Path | None) -> None:
    """A folder that is no store is none of gc's business."""
    if root.is_dir() and not (root / "steps").is_dir() and any(root.iterdir()):
        raise UsageError(
            f"{root} is no store: it has no folder 'steps'", "name the store: --store DIR"
        )
    if given and not root.is_dir():
        raise UsageError(f"no store at {root}", "`taxiway doctor` shows where the store is")
