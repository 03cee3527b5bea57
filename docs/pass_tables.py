"""docs/reference/passes.md: which pass works on which format, and which may follow which."""

from __future__ import annotations

from itertools import product

from taxiway.execute.order import Clash, between
from taxiway.model import FORMATS
from taxiway.plugins import Plugin, Registry

ABOUT = """# Passes: formats and orders

What each pass does is under [optimize](optimize.md); this page is made from what the passes declare.

## Formats

The plan puts a pass before or after the conversion by the formats that it works on.
"""
ORDERS = """
## Orders

Each row is a pass that comes first, each column one that follows it. Empty: they go together.
`error`: the plan refuses it, for the later pass would undo the earlier one. `warn`: it works, and the plan
warns. The reasons are below the table.
"""


def page(registry: Registry) -> str:
    passes = registry.section("optimize")
    formats = [name for name in FORMATS if any(name in p.accepts for p in passes.values())]
    rows = [
        [f"`{name}`", *("yes" if f in plugin.accepts else "" for f in formats)]
        for name, plugin in passes.items()
    ]
    return "\n".join([ABOUT, *_table(["pass", *formats], rows), ORDERS, *_orders(passes), ""])


def _orders(passes: dict[str, Plugin]) -> list[str]:
    clashes = {
        (first, later): clash
        for first, later in product(passes, passes)
        if (clash := _clash(first, passes[first], later, passes[later]))
    }
    words = {"undoes": "error", "weakens": "warn"}
    rows = [
        [f"`{first}`", *(words[c.kind] if (c := clashes.get((first, n))) else "" for n in passes)]
        for first in passes
    ]
    reasons: dict[tuple[str, str], list[str]] = {}
    for (first, later), clash in clashes.items():
        reasons.setdefault((later, clash.why), []).append(first)
    lines = [
        f"* `{later}` after {', '.join(f'`{name}`' for name in firsts)}: {why}."
        for (later, why), firsts in reasons.items()
    ]
    return [*_table(["first, then", *(f"`{name}`" for name in passes)], rows), "", *lines]


def _clash(first: str, before: Plugin, later: str, after: Plugin) -> Clash | None:
    """What the plan would say of the two in a row, in any format that both work on or reach."""
    for one, two in product(sorted(before.accepts), sorted(after.accepts)):
        found = next(
            between(first, before.implementation(one), later, after.implementation(two)), None
        )
        if found:
            return found
    return None


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
