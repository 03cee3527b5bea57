"""Where a pass did not buy what it is made for: one sentence each, and what to try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SLOWER = 1.15
"""Times the row before: less is within what two measurements differ by."""
NO_GAIN = 0.97
SPARSER = 0.1
"""More zeros than that, as a share, are on purpose."""
LARGER = 1.02


def warnings(
    before: Mapping[str, Any], after: Mapping[str, Any], instead: Mapping[str, str | None]
) -> Iterator[str]:
    """What to say of the pass that made `after` out of `before`; rows as the ledger has them.

    instead: step -> what to try in its place.
    """
    step = after["step"]
    if step not in instead:
        return
    name = step.removeprefix("optimize.")
    advice = f"; {instead[step]}" if instead[step] else ""
    ratio = _ratio(before, after)
    more = (after["sparsity"] or 0.0) - (before["sparsity"] or 0.0)
    if ratio is not None and ratio > SLOWER and _apart(before, after):
        yield (
            f"{name} made this model {ratio:.2g}x slower on {after['runtime']} on this CPU{advice}"
        )
    elif ratio is not None and ratio > NO_GAIN and more > SPARSER:
        yield (
            f"{name}: {after['sparsity']:.0%} zeros are no gain in time on {after['runtime']} on "
            f"this CPU{advice}"
        )
    if after["size"] > LARGER * before["size"] and before["format"] == after["format"]:
        yield f"{name} made the file {after['size'] / before['size']:.2g}x larger"


def _ratio(before: Mapping[str, Any], after: Mapping[str, Any]) -> float | None:
    """Times the latency of the row before, where both ran in one runtime."""
    if before["runtime"] != after["runtime"]:
        return None
    old, new = before.get("latency_p50"), after.get("latency_p50")
    return new / old if old and new else None


def _apart(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether the middle halves of both timings do not meet: a busy machine widens them."""
    return bool(after["latency_quartiles"][0] > before["latency_quartiles"][1])
