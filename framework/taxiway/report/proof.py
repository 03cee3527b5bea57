"""How a run's conversion went: the way it took, the ways that failed, the proofs and the repairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from taxiway.execute.result import RunResult


def conversion(result: RunResult) -> Iterator[RenderableType]:
    """The parts of the summary that say why the result is the same model; none where nothing was
    converted or proven."""
    if result.parity:
        yield Text("proof that each step kept the model", "bold")
        yield _proofs(result.parity)
    lines = [*_ways(result), *_notes(result)]
    if lines:
        if result.parity:
            yield ""
        yield from lines


def _proofs(parity: dict[str, dict[str, Any]]) -> Table:
    made = Table(box=None, pad_edge=False, header_style="dim")
    made.add_column("step")
    made.add_column("")
    made.add_column("largest error", justify="right")
    made.add_column("allowed", justify="right")
    made.add_column("samples", justify="right")
    for step, figures in parity.items():
        worst = _worst(figures.get("outputs") or [])
        mark = Text("equal", "green") if figures["equal"] else Text("DIFFERENT", "bold red")
        if figures["equal"] and worst and worst.get("tolerance") is None:
            # The step changes the model on purpose: what it changed is measured, the gates judge it.
            mark = Text("measured", "cyan")
        samples = str(figures.get("n", "-")) + (" random" if figures.get("random") else "")
        made.add_row(step, mark, _number(worst, "error"), _number(worst, "tolerance"), samples)
    return made


def _worst(outputs: list[dict[str, Any]]) -> dict[str, Any]:
    """The output that comes nearest to its tolerance, or goes furthest over it."""
    measured = [one for one in outputs if one.get("error") is not None]
    return max(measured, key=lambda one: one["error"] / (one.get("tolerance") or 1), default={})


def _number(output: dict[str, Any], name: str) -> str:
    return f"{output[name]:.2g}" if output.get(name) is not None else "-"


def _ways(result: RunResult) -> Iterator[Text]:
    for way in result.failed_ways:
        formats = " → ".join(way.formats)
        yield Text.assemble(
            ("tried  ", "dim"), formats, ("  failed at ", "yellow"), f"{way.step}: {way.reason}"
        )
    if len(result.way) > 2 or result.failed_ways:
        yield Text.assemble(("way    ", "dim"), " → ".join(result.way))


def _notes(result: RunResult) -> Iterator[Text]:
    for step, notes in result.notes.items():
        for note in notes:
            name, count = note.get("repair", "note"), note.get("count", 1)
            yield Text.assemble(
                ("repair ", "dim"), f"{step}: {name} ({count}x) {note.get('about', '')}"
            )
