"""What the calibration doctor found, in the terminal: a line for each pass, and its warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from taxiway.execute.result import RunResult


def calibration(result: RunResult) -> Iterator[RenderableType]:
    """The part of the summary about samples; none where no pass was calibrated."""
    if not result.calibration:
        return
    yield Text("calibration samples", "bold")
    for step, figures in result.calibration.items():
        found = figures.get("warnings") or []
        mark = Text("good", "green") if not found else Text(_count(len(found)), "yellow")
        yield Text.assemble(step.removeprefix("calibration."), "  ", mark, "  ", _about(figures))
        for warning in found:
            yield Text.assemble(("  warning  ", "yellow"), str(warning))


def _count(warnings: int) -> str:
    return "1 warning" if warnings == 1 else f"{warnings} warnings"


def _about(figures: Mapping[str, Any]) -> Text:
    ranges = figures.get("ranges") or {}
    text = f"{figures.get('samples')} samples of split {figures.get('split')}"
    if ranges.get("tensors"):
        text += (
            f"; ranges of {ranges['tensors']} tensors settle after {ranges['settled_at']} "
            f"of {ranges['looked_at']} looked at"
        )
    return Text(text, "dim")
