"""Removes from the store what is no longer wanted; what a process works on stays."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from taxiway.fetch.downloads import lock_name

RECENT = 86_400.0
"""While a run works in the store, results used in the last day (in seconds) may be its inputs."""


Kind = Literal["result", "download", "checkpoint", "quarantine", "unfinished"]
KEPT = ("result", "download", "checkpoint")
"""What stays unless a limit names it."""


@dataclass(frozen=True)
class Item:
    """A folder of the store, guarded by the lock `key`. size: bytes. used: seconds since 1970."""

    kind: Kind
    key: str
    path: Path
    size: int
    used: float
    step: str | None = None
    recipe: str | None = None


def items(root: Path) -> list[Item]:
    """Everything in the store below `root` that takes space."""
    return [
        *(_item("result", path.name, path) for path in root.glob("steps/??/*") if path.is_dir()),
        *(
            _item("download", lock_name(path.name), path)
            for path in root.glob("downloads/*")
            if path.is_dir()
        ),
        *(_item("quarantine", "", path) for path in root.glob("quarantine/*") if path.is_dir()),
        *(
            _item("unfinished", path.name.split("-")[0], path)
            for path in root.glob("tmp/*")
            if path.is_dir()
        ),
        *(
            _item("checkpoint", path.name, path)
            for path in root.glob("checkpoints/*")
            if path.is_dir()
        ),
    ]


def _item(kind: Kind, key: str, path: Path) -> Item:
    record = path / "record.json"
    known: dict[str, str] = {}
    with suppress(OSError, ValueError):
        known = json.loads(record.read_bytes())
    size = sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
    used = (record if record.is_file() else path).stat().st_mtime
    return Item(kind, key, path, size, used, known.get("step"), known.get("recipe"))


def unwanted(
    found: Iterable[Item],
    *,
    older_than: float | None = None,
    max_size: int | None = None,
    everything: bool = False,
) -> list[Item]:
    """Damaged and unfinished folders, and the results and downloads that a limit names.

    older_than: seconds since the last use. max_size: bytes that they may take in all; the ones used
    last stay.
    """
    chosen, kept, now = [], 0, time.time()
    for item in sorted(found, key=lambda item: -item.used):
        old = older_than is not None and now - item.used > older_than
        full = max_size is not None and kept + item.size > max_size
        if item.kind not in KEPT or everything or old or full:
            chosen.append(item)
        else:
            kept += item.size
    return chosen


@contextmanager
def _idle(root: Path, key: str) -> Iterator[bool]:
    """Holds the lock of `key`, if no other process does."""
    lock = FileLock(root / "locks" / key)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def busy(root: Path) -> bool:
    """Whether a process works in the store now."""
    for lock in (root / "locks").glob("*"):
        with _idle(root, lock.name) as free:
            if not free:
                return True
    return False


def remove(root: Path, chosen: Iterable[Item]) -> list[Item]:
    """Remove what no process works on, and give it back.

    A folder is moved aside first: a crash leaves an unfinished folder, never half a result.
    """
    for name in ("locks", "tmp"):
        (root / name).mkdir(exist_ok=True)
    working, gone = busy(root), []
    for item in chosen:
        if working and item.kind in KEPT and time.time() - item.used < RECENT:
            continue
        with _idle(root, item.key or "quarantine") as free:
            aside = root / "tmp" / f"{item.key}-removed"
            if not free:
                continue
            if item.kind in KEPT:
                shutil.rmtree(aside, ignore_errors=True)
                item.path.replace(aside)
                shutil.rmtree(aside, ignore_errors=True)
            else:
                shutil.rmtree(item.path, ignore_errors=True)
            gone.append(item)
    return gone
