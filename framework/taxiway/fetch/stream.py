"""Bytes from elsewhere into a file, within limits, with word of how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from taxiway.errors import SafetyError, StepError
from taxiway.plugins.quantity import show_bytes, show_seconds

Progress = Callable[[int, int | None, str], None]
"""`progress(done, total, "B")`."""

MAX_BYTES = 20 * 2**30
"""Of one location, all its files together."""
IDLE_SECONDS = 60.0
"""How long a server may say nothing."""
CHUNK = 2**20
_BETWEEN = 0.1


class Readable(Protocol):
    """A stream of bytes; empty at its end."""

    def read(self, size: int, /) -> bytes: ...


@contextmanager
def _storing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StepError(
            f"{target.name[:80]} cannot be stored: {error.strerror}",
            "free some space, or choose another: --store DIR",
        ) from error


def make_folder(folder: Path) -> None:
    """With those around it. Raises StepError where the disk refuses."""
    with _storing(folder):
        folder.mkdir(parents=True, exist_ok=True)


class NewFile:
    """A file that is not there yet. What the disk refuses is a StepError, apart from what a server does."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._stack = ExitStack()

    def __enter__(self) -> NewFile:
        with _storing(self._target):
            self._file = self._stack.enter_context(self._target.open("xb"))
        return self

    def write(self, chunk: bytes) -> None:
        with _storing(self._target):
            self._file.write(chunk)

    def __exit__(self, *_: object) -> None:
        with _storing(self._target):
            self._stack.close()


@dataclass
class Transfer:
    """One location on its way: what it is called in messages, and what it may still take.

    seconds: for all of it, from now on.
    """

    shown: str
    progress: Progress
    seconds: float
    total: int | None = None
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    _told: float = 0.0

    def expect(self, total: int | None) -> None:
        """Raises SafetyError where more is announced than any location may hold."""
        self.total = total
        if total is not None and total > MAX_BYTES:
            raise SafetyError(
                f"{self.shown} has {show_bytes(total)}; at most {show_bytes(MAX_BYTES)} are fetched"
            )

    def save(self, stream: Readable, target: Path, size: int | None) -> None:
        """Write the stream to a new file.

        size: the bytes that were announced. Raises StepError where others come or time is up,
        SafetyError beyond the limit.
        """
        written = 0
        with NewFile(target) as file:
            while chunk := stream.read(CHUNK):
                file.write(chunk)
                written += len(chunk)
                self.add(len(chunk))
        if size is not None and written != size:
            raise StepError(
                f"{self.shown}: {target.name} came with {written:,} of {size:,} bytes",
                "run the same command again",
            )

    def add(self, count: int) -> None:
        """Count bytes that have come. Raises as `save` does."""
        self.at(self.done + count)

    def at(self, done: int) -> None:
        """The same, where the whole number is known."""
        more, self.done = done != self.done, done
        now = time.monotonic()
        if done > MAX_BYTES:
            raise SafetyError(
                f"{self.shown} is larger than {show_bytes(MAX_BYTES)}; it was stopped"
            )
        if now - self.started > self.seconds:
            raise StepError(
                f"{self.shown} did not come within {show_seconds(self.seconds)} "
                f"({show_bytes(done)} did)",
                "raise the limit: limits.time='2 h'",
            )
        if more and (now - self._told >= _BETWEEN or done == self.total):
            self._told = now
            self.progress(done, self.total, "B")
