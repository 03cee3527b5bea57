"""What happens during a run, as typed values: the terminal shows them, `events.jsonl` keeps them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """Base of all events. time: seconds since the epoch."""

    time: float = msgspec.field(default_factory=time.time)


class RunStarted(Event, frozen=True, kw_only=True):
    name: str
    folder: str
    steps: list[str]


class StepStarted(Event, frozen=True, kw_only=True):
    """waiting: another process is making this result; its end is awaited."""

    step: str
    waiting: bool = False


class StepProgress(Event, frozen=True, kw_only=True):
    step: str
    done: int
    total: int | None
    unit: str


class StepFinished(Event, frozen=True, kw_only=True):
    """cached: the result was there and verified. peak_memory: bytes, of the worker during the step."""

    step: str
    key: str
    cached: bool
    seconds: float
    peak_memory: int | None = None


class StepFailed(Event, frozen=True, kw_only=True):
    step: str
    message: str
    hint: str | None = None


class GatesJudged(Event, frozen=True, kw_only=True):
    passed: bool
    verdicts: list[dict[str, Any]]


class RunFinished(Event, frozen=True, kw_only=True):
    status: str
    seconds: float


Observer = Callable[[Event], None]


class EventLog:
    """Appends each event to `events.jsonl`, one JSON object a line."""

    def __init__(self, path: Path, scrub: Callable[[str], str]) -> None:
        self._stream = path.open("a", encoding="utf-8")
        self._scrub = scrub

    def __call__(self, event: Event) -> None:
        self._stream.write(self._scrub(msgspec.json.encode(event).decode()) + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()
