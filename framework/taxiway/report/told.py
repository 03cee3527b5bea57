"""What steps found out, in a line each: how a training went, what a fallback kept."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from taxiway.execute.result import RunResult


def told(result: RunResult) -> Iterator[RenderableType]:
    """The part of the summary with the sentences of the steps; nothing where none said one."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="dim")
    made.add_column(overflow="fold")
    warnings: list[str] = []
    for step, subjects in result.told.items():
        for subject, facts in subjects.items():
            if facts.get("summary"):
                made.add_row(
                    Text(subject), Text(f"{step.removeprefix('optimize.')}: {facts['summary']}")
                )
            warnings += facts.get("warnings") or []
    if made.row_count:
        yield Text("what the steps say", "bold")
        yield made
    for warning in warnings:
        yield Text.assemble(("warning  ", "yellow"), warning)
