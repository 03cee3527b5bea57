"""Writes docs/support-matrix.md by running every small model of docs/matrix to every target.

python docs/support_matrix.py            write the page
python docs/support_matrix.py --check    exit with 1 where it is stale
python docs/support_matrix.py --only keras onnx    print the rows of these sources
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

import taxiway
from taxiway.errors import TaxiwayError
from taxiway.execute.folder import RunFolder
from taxiway.execute.limits import StepLimits
from taxiway.execute.run import run_plan
from taxiway.execute.store import Store
from taxiway.execute.workers import Workers

sys.path.insert(0, str(Path(__file__).parent))

from matrix.models import Specimen, specimens

PAGE = Path(__file__).parent / "support-matrix.md"
TARGETS = ("onnx", "tflite", "saved_model")
LIMITS = StepLimits(6 * 2**30, 120.0)
RECIPE = """\
defaults:
  - base
  - source: {source}
  - data: npz
  - convert: {target}
  - _self_
name: row
source:
  path: {path}
data:
  path: samples.npz
  inputs: {{{inputs}}}
  labels: null
  dtype: keep
  splits:
    test: {{fraction: 1}}
"""
HEAD = """\
<!-- Written by docs/support_matrix.py, which runs every cell; `make matrix` renews it. -->
# Support matrix

Every cell was run: a small model made by script, converted, and [proven](parity.md) equal on 16 samples. A green cell
shows the way that was taken. Where the best way failed or did not prove equal, the next one was taken.
A red cell says why no way leads there.

"""


def cell(specimen: Specimen, target: str, folder: Path, workers: Workers, store: Store) -> str:
    """The way that was taken, or the reason that there is none."""
    samples = specimen.samples()
    path = next(folder.glob("made/*"))
    inputs = ", ".join(f"{name}: {name}" for name in samples)
    recipe = folder / f"{target}.yaml"
    model = path.relative_to(folder)
    recipe.write_text(
        RECIPE.format(source=specimen.source, target=target, path=model, inputs=inputs)
    )
    try:
        plan = taxiway.load(recipe).plan()
        output = RunFolder.create(folder / "runs", target)
        result = run_plan(plan, store, output, workers=workers)
    except TaxiwayError as error:
        return f"✗ {_reason(error)}"
    way = " → ".join(result.way) if result.way else "as it is"
    return f"✓ {way}"


def _reason(error: TaxiwayError) -> str:
    """The first sentence that says why, without what changes from one run to the next."""
    lines = [line.strip() for line in error.message.splitlines() if line.strip()]
    text = lines[1] if lines[0].endswith(":") and len(lines) > 1 else lines[0]
    text = text.partition(": at ")[2] or text
    return " ".join(text.replace("|", "\\|").split())[:160]


def rows(sources: Iterable[str]) -> Iterator[str]:
    wanted = set(sources)
    with (
        tempfile.TemporaryDirectory() as scratch,
        Workers(LIMITS, Path(scratch) / "worker.log") as workers,
    ):
        for number, specimen in enumerate(specimens()):
            if wanted and specimen.source not in wanted:
                continue
            folder = Path(scratch) / str(number)
            (folder / "made").mkdir(parents=True)
            made = specimen.write(folder)
            made.rename(folder / "made" / made.name)
            np.savez(folder / "samples.npz", allow_pickle=False, **specimen.samples())
            store = Store(folder / "cells")
            cells = [cell(specimen, target, folder, workers, store) for target in TARGETS]
            print(specimen.source, specimen.kind, *cells, sep=" | ", file=sys.stderr)
            yield f"| {specimen.source} | {specimen.kind} | {' | '.join(cells)} |"


def page() -> str:
    table = [f"| source | model | {' | '.join(TARGETS)} |", "|---" * (2 + len(TARGETS)) + "|"]
    return HEAD + "\n".join([*table, *rows(())]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", nargs="+", default=[], metavar="SOURCE")
    arguments = parser.parse_args()
    if arguments.only:
        print("\n".join(rows(arguments.only)))
        return 0
    missing = sorted(
        {one.needs for one in specimens() if importlib.util.find_spec(one.needs) is None}
    )
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    wanted = page()
    if arguments.check:
        stale = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != wanted
        if stale:
            print("docs/support-matrix.md is stale: make matrix", file=sys.stderr)
        return int(stale)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
