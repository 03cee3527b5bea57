"""Taxiway's figures against their bars: `make bench`, or `python benchmarks/bench.py --write`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from figure import Figure, markdown
from fresh import fresh
from quality import quality
from startup import startup

RESULTS = Path(__file__).with_name("RESULTS.md")


def machine() -> str:
    """The class of this machine: CPU, cores that may be used, memory."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{models[0] if models else os.uname().machine}, {cores} cores, {memory:.0f} GiB"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="runs of each kind (5)")
    parser.add_argument("--write", action="store_true", help=f"add a section to {RESULTS.name}")
    arguments = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="taxiway-bench-") as scratch:
        folder = Path(scratch)
        figures += startup(arguments.pairs, folder)
        figures += fresh(arguments.pairs, folder)
        figures += quality(folder)
    table = markdown(figures)
    sys.stdout.write(f"{machine()}\n\n{table}")
    if arguments.write:
        head = "" if RESULTS.exists() else f"# Benchmarks\n\n{ABOUT}"
        section = f"\n## {time.strftime('%Y-%m-%d')}\n\n{machine()}; {arguments.pairs} runs.\n\n"
        with RESULTS.open("a", encoding="utf-8") as results:
            results.write(f"{head}{section}{table}")
    return 1 if any(figure.passed is False for figure in figures) else 0


ABOUT = """\
`make bench` measures these figures; `python benchmarks/bench.py --write` adds a section here.
CPU is user and system time of all processes of a command. `by_hand_digits.py` makes by hand what
the recipe `digits_int8` does. Each figure is a median; runs of the two take turns. The column of
Olive 0.13, the closest peer, comes from an earlier comparison and is not measured here.
"""


if __name__ == "__main__":
    sys.exit(main())
