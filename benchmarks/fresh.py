"""A run with an empty store against a script written by hand, and the same run again, all cached."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from figure import Figure
from measure import Usage, measure, taxiway

RECIPE = "digits_int8"
BY_HAND = Path(__file__).with_name("by_hand_digits.py")
UNPROVEN = ["parity=null"]
"""A script by hand proves nothing, so the run it is compared with does not, either."""
MIB = 2**20


def fresh(pairs: int, folder: Path) -> Iterator[Figure]:
    """Pairs of runs; the one that goes first changes from pair to pair."""
    by_hand: list[Usage] = []
    ours: list[Usage] = []
    again: list[Usage] = []
    for number in range(pairs):
        here = folder / str(number)
        here.mkdir()
        run = taxiway(
            "run", RECIPE, *UNPROVEN, "--store", here / "store", "--output", here / "runs"
        )
        jobs = [
            lambda here=here: by_hand.append(
                measure([sys.executable, BY_HAND, here / "by_hand"], here)
            ),
            lambda run=run, here=here: ours.append(measure(run, here)),
        ]
        for job in jobs if number % 2 else reversed(jobs):
            job()
        _check_same_outcome(here)
        again.append(measure([*run[:-1], here / "again"], here))
        _check_cached(here / "again")
    yield _ratio("CPU of a fresh run / by hand", [u.cpu for u in ours], [u.cpu for u in by_hand])
    yield _ratio(
        "memory of its largest process / by hand",
        [u.largest / MIB for u in ours],
        [u.largest / MIB for u in by_hand],
    )
    parent = [u.peak_memory / MIB for u in ours]
    yield Figure(
        "memory of its parent process", median(parent), "at most", 150, "MiB", 0, "-", _list(parent)
    )
    cached = [u.cpu for u in again]
    yield Figure(
        "CPU of a cached run", median(cached), "at most", 1.2, "s", 2, "17.2 s", _list(cached, 2)
    )


def _check_cached(runs: Path) -> None:
    (report,) = runs.glob("*/*/report.json")
    ran = [step["name"] for step in json.loads(report.read_text())["steps"] if not step["cached"]]
    if ran:
        raise RuntimeError(f"not cached: {', '.join(ran)}")


def _check_same_outcome(folder: Path) -> None:
    """Both made a model of the same size that is right equally often."""
    (ours,) = (folder / "runs").glob("*/*/report.json")
    found = json.loads(ours.read_text())["metrics"]
    expected = json.loads((folder / "by_hand" / "report.json").read_text())
    for subject in ("source", "result"):
        for metric in ("accuracy", "size"):
            mine, theirs = found[subject][metric], expected[subject][metric]
            if abs(mine - theirs) > 0.02 * theirs:
                raise RuntimeError(f"{subject} {metric}: {mine}, by hand {theirs}")


PEER = {
    "CPU of a fresh run / by hand": "2.09",
    "memory of its largest process / by hand": "1.35",
}


def _ratio(what: str, ours: list[float], by_hand: list[float]) -> Figure:
    ratios = [a / b for a, b in zip(ours, by_hand, strict=True)]
    detail = f"{_list(ratios, 2)} (medians {median(ours):.4g} / {median(by_hand):.4g})"
    return Figure(what, median(ratios), "at most", 1.10, "", 2, PEER[what], detail)


def _list(values: list[float], digits: int = 0) -> str:
    return " ".join(f"{value:.{digits}f}" for value in values)
