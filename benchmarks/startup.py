"""CPU time of the commands that run nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from figure import Figure
from measure import measure, taxiway

RECIPE = "digits_int8"
COMMANDS = (
    ("--help", ("--help",), 0.15, "12.8 s"),
    ("list", ("list",), 0.15, "12.8 s"),
    ("validate", ("validate", RECIPE), 1.0, "11 s"),
    ("plan", ("plan", RECIPE), 1.0, "11 s"),
    ("show", ("show", RECIPE), 1.0, "11 s"),
)


def startup(runs: int, folder: Path) -> Iterator[Figure]:
    """Each command in turn, `runs` times."""
    taken: dict[str, list[float]] = {name: [] for name, *_ in COMMANDS}
    for _ in range(runs):
        for name, words, *_ in COMMANDS:
            taken[name].append(measure(taxiway(*words), folder).cpu)
    for name, _, bar, peer in COMMANDS:
        cpu = taken[name]
        detail = " ".join(f"{seconds:.2f}" for seconds in cpu)
        yield Figure(f"CPU of `taxiway {name}`", median(cpu), "at most", bar, "s", 2, peer, detail)
