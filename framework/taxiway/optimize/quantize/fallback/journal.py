"""What was measured of candidates, kept so that an attempt after a kill does not measure it again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from taxiway.optimize.quantize.fallback.score import Score

FILE = "fallback.jsonl"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate. key: digest of the operators it keeps, and in what.

    noise: power of the error of its scores over that of the input model's, on the subset; None where
    that was not asked. score: on all rows; None where that was not asked. size: bytes. failure: why it
    could not be made; then there is nothing else. seconds: what it took.
    """

    key: str
    noise: float | None = None
    score: Score | None = None
    size: int | None = None
    failure: str | None = None
    seconds: float = 0.0


def key_of(kept: Mapping[str, str]) -> str:
    """The digest of operator -> precision."""
    return hashlib.sha256(json.dumps(sorted(kept.items())).encode()).hexdigest()


class Journal:
    """A file of one JSON line a measurement, which is appended to at once.

    A line that a kill tore is left out when the file is read; so is one that another version wrote.
    folder: None keeps everything in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE if folder else None
        self._known: dict[str, Measured] = {}
        self.found = 0
        """Measurements that an earlier attempt left."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = self._path.read_bytes() if self._path.exists() else b""
        for line in content.split(b"\n"):
            try:
                self._learn(msgspec.json.decode(line, type=Measured))
                self.found += 1
            except msgspec.DecodeError:
                continue
        if content and not content.endswith(b"\n"):
            self._append(b"\n")

    def known(self, key: str) -> Measured | None:
        return self._known.get(key)

    def add(self, measured: Measured) -> Measured:
        """Keep it; gives all that is known of that candidate now."""
        self._append(msgspec.json.encode(measured) + b"\n")
        return self._learn(measured)

    @property
    def candidates(self) -> int:
        return len(self._known)

    @property
    def seconds(self) -> float:
        """Of all attempts."""
        return sum(measured.seconds for measured in self._known.values())

    def _learn(self, new: Measured) -> Measured:
        old = self._known.get(new.key)
        if old is not None:
            new = msgspec.structs.replace(
                new,
                noise=old.noise if new.noise is None else new.noise,
                score=new.score or old.score,
                size=new.size or old.size,
                seconds=old.seconds + new.seconds,
            )
        self._known[new.key] = new
        return new

    def _append(self, content: bytes) -> None:
        """In one write: lines of a process that ends between two writes are whole."""
        if self._path is None:
            return
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, content)
        finally:
            os.close(file)
