"""`taxiway doctor`: is everything here that a run needs?"""

from __future__ import annotations

from taxiway.cli.args import add_json, add_store, command
from taxiway.cli.table import emit

EXAMPLES = """  taxiway doctor
  taxiway doctor --verify            also read every cached result and compare its digests
  taxiway doctor --store /data/store --json"""


def main(argv: list[str]) -> int:
    parser = command("doctor", "Check versions, CPU features, extras and the cache.", EXAMPLES)
    parser.add_argument(
        "--verify", action="store_true", help="also check every result in the store"
    )
    add_store(parser)
    add_json(parser)
    arguments = parser.parse_args(argv)
    from dataclasses import asdict

    from taxiway.execute.doctor import examine, verify
    from taxiway.execute.store import default_root

    root = arguments.store or default_root()
    checks = [asdict(c) for c in (*examine(root), *(verify(root) if arguments.verify else ()))]
    emit(("state", "what", "detail"), checks, arguments.json)
    hints = [check for check in checks if check["hint"]]
    if hints and not arguments.json:
        print()
        for check in hints:
            print(f"{check['what']}: {check['hint']}")
    return 1 if any(check["state"] == "problem" for check in checks) else 0
