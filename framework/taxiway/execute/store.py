"""Content-addressed results: one folder per step key, published by one rename.

    STORE/steps/ab/<key>/record.json    what the step was, the digest of every file, and its own
    STORE/steps/ab/<key>/files/         what it made
    STORE/checkpoints/<key>/            what an unfinished step goes on from

A crash leaves either nothing or a whole entry. A hit is verified; a damaged entry is moved to
STORE/quarantine and made again.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from taxiway.errors import StepError
from taxiway.execute.digest import digest_json, digest_tree
from taxiway.safety.output import refuse_link

FOLDERS = ("steps", "locks", "tmp", "checkpoints", "quarantine", "recipes", "downloads")


@dataclass(frozen=True)
class Entry:
    """A published result: its record, and the folder of its files."""

    key: str
    record: dict[str, Any]
    files: Path

    @property
    def outputs(self) -> dict[str, str]:
        """Relative path -> digest."""
        outputs: dict[str, str] = self.record["outputs"]
        return outputs

    def digest(self, path: str) -> str:
        """Of one output: a file, or a folder such as a SavedModel, as `digest_path` gives it."""
        if path in self.outputs:
            return self.outputs[path]
        start = f"{path}/"
        found = {n[len(start) :]: d for n, d in self.outputs.items() if n.startswith(start)}
        return digest_json(found)


class Store:
    """Results by step key, below one root folder. Safe for several processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        for folder in (self.root, *(self.root / name for name in FOLDERS)):
            refuse_link(folder, "store", "name the folder itself: --store DIR")
        try:
            for name in ("steps", "locks", "tmp", "checkpoints"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StepError(
                f"the store {root} cannot be used: {error.strerror}", "choose another: --store DIR"
            ) from error

    def folder(self, key: str) -> Path:
        return self.root / "steps" / key[:2] / key

    def has(self, key: str) -> bool:
        """Whether there is an entry, without verifying it."""
        return (self.folder(key) / "record.json").is_file()

    def get(self, key: str) -> Entry | None:
        """The verified entry; None where there is none, or where it was damaged (now in quarantine)."""
        folder = self.folder(key)
        if not folder.exists():
            return None
        entry = verified(folder)
        if entry is None:
            with self.owned(key):
                # Its owner may have made it anew since.
                entry = verified(folder)
                if entry is None and folder.exists():
                    self._quarantine(folder)
        if entry is not None:
            _used(folder / "record.json")
        return entry

    def _quarantine(self, folder: Path) -> None:
        with self._writing():
            (self.root / "quarantine").mkdir(exist_ok=True)
            prefix = f"{folder.name[:16]}-"
            folder.replace(tempfile.mkdtemp(prefix=prefix, dir=self.root / "quarantine"))

    @contextmanager
    def owned(self, key: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Only one process works on a key; the lock goes with its holder, however it ends.

        waiting: called where another process holds it, before its end is awaited.
        """
        lock = FileLock(self.root / "locks" / key, is_singleton=True)
        with self._writing():
            try:
                lock.acquire(timeout=0)
            except Timeout:
                if waiting:
                    waiting()
                lock.acquire()
        try:
            for left_behind in (self.root / "tmp").glob(f"{key}-*"):
                shutil.rmtree(left_behind, ignore_errors=True)
            yield
        finally:
            lock.release()

    @contextmanager
    def workdir(self, key: str) -> Iterator[Path]:
        """An empty folder to work in, removed at the end unless it was published."""
        with self._writing():
            folder = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=self.root / "tmp"))
        try:
            with self._writing():
                (folder / "files").mkdir()
            yield folder / "files"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def checkpoints(self, key: str) -> Path:
        """Where the step of `key` keeps what its next attempt goes on from; made by the step itself."""
        return self.root / "checkpoints" / key

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StepError(
                f"the result cannot be stored in {self.root}: {error.strerror}",
                "free some space, or `taxiway gc`; finished steps are kept",
            ) from error

    def publish(self, key: str, workdir: Path, record: dict[str, Any]) -> Entry:
        """Make the work folder's files the entry of `key`. Raises StepError where the disk refuses."""
        target = self.folder(key)
        refuse_link(target.parent, "store", "name the folder itself: --store DIR")
        with self._writing():
            body = {**record, "key": key, "outputs": digest_tree(workdir)}
            body["digest"] = digest_json(body)
            for file in workdir.rglob("*"):
                if file.is_file():
                    _sync(file)
            path = workdir.parent / "record.json"
            path.write_text(json.dumps(body, indent=1, sort_keys=True))
            _sync(path)
            target.parent.mkdir(exist_ok=True)
            workdir.parent.replace(target)
            _sync(target.parent)
            shutil.rmtree(self.checkpoints(key), ignore_errors=True)
        return Entry(key, body, target / "files")


def verified(folder: Path) -> Entry | None:
    """The entry in its folder; None where a file of it is damaged, absent or added."""
    try:
        record = json.loads((folder / "record.json").read_bytes())
        entry = Entry(folder.name, record, folder / "files")
        digest = record.pop("digest")
        whole = digest == digest_json(record) and record["key"] == folder.name
        return entry if whole and digest_tree(entry.files) == entry.outputs else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _used(record: Path) -> None:
    """The record's time is that of the last use, for `gc`; a read-only store keeps the old one."""
    with suppress(OSError):
        os.utime(record)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def default_root() -> Path:
    """TAXIWAY_STORE, or the user's cache folder."""
    if os.environ.get("TAXIWAY_STORE"):
        return Path(os.environ["TAXIWAY_STORE"]).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("taxiway") / "store"
