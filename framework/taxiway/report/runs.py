"""Runs that lie below an output folder: found by their report, newest first."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from msgspec import MsgspecError

from taxiway.errors import UsageError
from taxiway.execute.result import RunResult

REPORT = "report.json"


def runs_in(output: Path) -> list[tuple[Path, RunResult]]:
    """Every run `output/NAME/TIME` with its folder, newest first; a damaged report is left out."""
    found = []
    for report in output.glob(f"*/*/{REPORT}"):
        try:
            found.append((report.stat().st_mtime_ns, report.parent, RunResult.read(report.parent)))
        except (OSError, MsgspecError):
            continue
    return [
        (folder, result)
        for _, folder, result in sorted(found, key=lambda run: run[:2], reverse=True)
    ]


def read_run(folder: Path) -> RunResult:
    """The run in its folder. Raises UsageError where its report is absent or damaged."""
    try:
        return RunResult.read(folder)
    except FileNotFoundError:
        raise UsageError(
            f"no run in {folder}: it has no {REPORT}", "`taxiway list runs` shows the finished ones"
        ) from None
    except (OSError, MsgspecError) as error:
        raise UsageError(
            f"{folder / REPORT} cannot be read: {error}", "run the recipe again"
        ) from error


def find_run(name: str | None, output: Path) -> RunResult:
    """A run by its folder, by its recipe (the newest), or the newest of all where `name` is None.

    Raises UsageError with the nearest name where there is none.
    """
    if name is not None and (Path(name) / REPORT).is_file():
        return read_run(Path(name))
    runs = runs_in(output)
    if name is None and runs:
        return runs[0][1]
    if name is None or not runs:
        raise UsageError(
            f"no finished run below {output}",
            "`taxiway run RECIPE` makes one; --output DIR looks elsewhere",
        )
    short = Path(name).name.removesuffix(".yaml")
    for _, result in runs:
        if short == result.name:
            return result
    names = sorted({result.name for _, result in runs})
    near = get_close_matches(short, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"runs of: {', '.join(names)}"
    raise UsageError(f"no run of '{name}' below {output}", hint)
