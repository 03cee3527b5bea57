from __future__ import annotations

import io

import pytest
from rich.console import Console

from taxiway.execute import events
from taxiway.report.progress import LiveProgress


@pytest.mark.parametrize(
    ("done", "total", "unit", "shown"),
    [
        (5, 10, "samples", "5/10 samples"),
        (5, None, "samples", "5 samples"),
        (1_048_576, 4_194_304, "B", "1.0 MiB/4.0 MiB"),
        (2048, None, "B", "2.0 KiB"),
    ],
)
def test_how_far_a_step_is(done: int, total: int | None, unit: str, shown: str) -> None:
    live = LiveProgress()
    live(events.RunStarted(name="mine", folder="runs", steps=["source"]))
    live(events.StepStarted(step="source"))
    live(events.StepProgress(step="source", done=done, total=total, unit=unit))
    console = Console(file=io.StringIO(), width=100)
    console.print(live)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown in text
