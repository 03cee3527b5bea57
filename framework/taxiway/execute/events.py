"""What happens during a run, as typed values: the terminal shows them, `events.jsonl` keeps them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from taxiway.errors import StepError


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """Base of all events. time: seconds since the epoch."""

    time: float = msgspec.field(default_factory=time.time)


class RunStarted(Event, frozen=True, kw_only=True):
    name: str
    folder: str
    steps: list[str]


class StepStarted(Event, frozen=True, kw_only=True):
    """waiting: told a second time, where another process is making this result and its end is awaited."""

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


class WayChanged(Event, frozen=True, kw_only=True):
    """A conversion failed at `step`; the run goes on by another way, with these steps."""

    step: str
    formats: list[str]
    steps: list[str]


class GatesJudged(Event, frozen=True, kw_only=True):
    passed: bool
    verdicts: list[dict[str, Any]]


class RunFinished(Event, frozen=True, kw_only=True):
    status: str
    seconds: float


Observer = Callable[[Event], None]


class EventLog:
    """Appends each event to `events.jsonl`, one JSON object a line."""

    def __init__(self, path: Path, redacted: Callable[[Any], Any]) -> None:
        self._path = path
        self._redacted = redacted
        with self._writing():
            self._stream = path.open("ab", buffering=0)

    def __call__(self, event: Event) -> None:
        """Raises StepError where the disk refuses."""
        with self._writing():
            plain = self._redacted(msgspec.to_builtins(event))
            self._stream.write(msgspec.json.encode(plain) + b"\n")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StepError(
                f"{self._path} cannot be written: {error.strerror}",
                "free some space, or choose another folder: --output DIR",
            ) from error

    def close(self) -> None:
        self._stream.close()
