"""A run as it happens: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from taxiway.execute import events
from taxiway.plugins.quantity import show_bytes, show_seconds
from taxiway.report.steps import label


class PlainProgress:
    """One line when a step starts and one when it ends."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.RunStarted():
                self._console.print(f"{event.name}: {len(event.steps)} steps")
            case events.StepStarted():
                state = ": waiting for another run that makes it" if event.waiting else " ..."
                self._console.print(f"  {event.step}{state}")
            case events.StepFinished():
                state = "cached" if event.cached else f"done in {show_seconds(event.seconds)}"
                self._console.print(f"  {event.step}: {state}")
            case events.StepFailed():
                self._console.print(f"  {event.step}: failed: {event.message}", markup=False)
            case events.WayChanged():
                self._console.print(f"  trying another way: {' → '.join(event.formats)}")


class LiveProgress:
    """A row per step: waiting, running with how far it is, done or cached."""

    def __init__(self) -> None:
        self._name = ""
        self._steps: list[str] = []
        self._finished: dict[str, events.StepFinished] = {}
        self._failed: set[str] = set()
        self._running: str | None = None
        self._started = 0.0
        self._progress: events.StepProgress | None = None
        self._spinner = Spinner("dots", style="cyan")

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.RunStarted():
                self._name, self._steps = event.name, event.steps
            case events.StepStarted():
                self._running, self._started, self._progress = event.step, time.monotonic(), None
            case events.StepProgress():
                self._progress = event
            case events.StepFinished():
                self._finished[event.step] = event
                self._running = None
            case events.StepFailed():
                self._failed.add(event.step)
                self._running = None
            case events.WayChanged():
                self._steps, self._failed = event.steps, set()

    def __rich__(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, show_header=False)
        for name in self._steps:
            table.add_row(*self._row(name))
        return table

    def _row(self, name: str) -> list[RenderableType]:
        if name in self._finished:
            event = self._finished[name]
            state = (
                Text("cached", "cyan")
                if event.cached
                else Text(show_seconds(event.seconds), "green")
            )
            memory = show_bytes(event.peak_memory) if event.peak_memory and not event.cached else ""
            return [Text("✓", "green"), label(name), state, Text(memory, "dim")]
        if name in self._failed:
            return [Text("✗", "red"), label(name), Text("failed", "red"), ""]
        if name != self._running:
            return [" ", Text(label(name), "dim"), "", ""]
        elapsed = Text(f"{time.monotonic() - self._started:.0f} s", "cyan")
        far = self._progress
        if far is None:
            return [self._spinner, label(name), elapsed, ""]
        if not far.total:
            return [self._spinner, label(name), elapsed, Text(_count(far.done, far.unit), "dim")]
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(far.total, far.done, width=24),
            Text(f"{_done(far)}/{_count(far.total, far.unit)}", "dim"),
        )
        return [self._spinner, label(name), elapsed, bar]


def _done(far: events.StepProgress) -> str:
    return _count(far.done, far.unit) if far.unit == "B" else str(far.done)


def _count(number: int, unit: str) -> str:
    return show_bytes(number) if unit == "B" else f"{number} {unit}"


@contextmanager
def progress(console: Console) -> Iterator[events.Observer]:
    """An observer that shows a run on this console while it lasts."""
    if not console.is_terminal:
        yield PlainProgress(console)
        return
    live = LiveProgress()
    with Live(live, console=console, refresh_per_second=10, transient=True):
        yield live
