"""What this machine and environment offer and lack, from metadata: nothing heavy is imported."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from taxiway.execute.gc import items
from taxiway.execute.keys import machine
from taxiway.execute.limits import machine_memory
from taxiway.execute.store import verified
from taxiway.plugins.quantity import show_bytes

_INT8_FEATURES = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "amx_int8",
    "asimd",
    "asimddp",
    "i8mm",
)
_LOW_DISK = 2 * 2**30
_EXTRAS = ("tensorflow", "torch", "huggingface", "sklearn", "remote", "s3", "gcs", "sweep")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. hint: what to type next where it is not ok."""

    what: str
    state: Literal["ok", "warning", "problem"]
    detail: str
    hint: str | None = None


def examine(store: Path) -> Iterator[Check]:
    """Every check but the store's contents."""
    yield Check("python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Check("taxiway", "ok", version("taxiway"))
    yield from _libraries()
    yield from _machine()
    yield from _environment()
    yield from _store(store)


def _libraries() -> Iterator[Check]:
    """Required distributions and those of each extra, against the versions asked for."""
    for text in requires("taxiway") or ():
        match = re.match(r"([\w.-]+)([^;]*)(?:;.*extra == ['\"](\w+)['\"])?", text)
        if not match or (match[3] and match[3] not in _EXTRAS):
            continue
        name, wanted, extra = match[1], match[2].strip(), match[3]
        if name == "taxiway":
            # An extra that brings another one.
            continue
        try:
            found = version(name)
        except PackageNotFoundError:
            install = (
                f"pip install 'taxiway[{extra}]'" if extra else "pip install --upgrade taxiway"
            )
            yield Check(
                name, "warning" if extra else "problem", f"not installed (needs {wanted})", install
            )
            continue
        if _allows(wanted, found):
            yield Check(name, "ok", found)
        else:
            yield Check(
                name, "warning", f"{found}, but {wanted} is needed", f"pip install '{name}{wanted}'"
            )


def _allows(wanted: str, found: str) -> bool:
    """Whether a version satisfies `>=A,<B`, compared by its release numbers (PEP 440)."""
    have = _release(found)
    for rule in filter(None, wanted.split(",")):
        match = re.match(r"(>=|<)\s*(.+)", rule.strip())
        if match and (have < _release(match[2])) == (match[1] == ">="):
            return False
    return True


def _release(text: str) -> tuple[int, ...]:
    numbers = re.match(r"\d+(?:\.\d+)*", text)
    parts = tuple(int(part) for part in numbers[0].split(".")) if numbers else ()
    return (*parts, 0, 0, 0, 0)[:4]


def _machine() -> Iterator[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Check("cpu", "ok", f"{machine()}, {cores} cores usable")
    yield Check("memory", "ok", show_bytes(machine_memory()))
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        flags = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo.read_text(), re.MULTILINE)
        known = flags[1].split() if flags else []
        found = [name for name in _INT8_FEATURES if name in known]
        yield Check("cpu features", "ok", ", ".join(found) or "none that int8 kernels use")


def _environment() -> Iterator[Check]:
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        yield Check(
            "bytecode",
            "warning",
            "PYTHONDONTWRITEBYTECODE is set: TensorFlow starts several times slower",
            "unset PYTHONDONTWRITEBYTECODE",
        )


def _store(root: Path) -> Iterator[Check]:
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if not os.access(there, os.W_OK) or not there.is_dir():
        yield Check(
            "store",
            "problem",
            f"{root} cannot be written",
            "choose another: --store DIR or TAXIWAY_STORE",
        )
        return
    results = [item for item in items(root) if item.kind == "result"]
    size = show_bytes(sum(item.size for item in results))
    yield Check("store", "ok", f"{root}: {len(results)} results, {size}")
    free = shutil.disk_usage(there).free
    hint = "free some space, or `taxiway gc`" if free < _LOW_DISK else None
    yield Check("disk", "warning" if hint else "ok", f"{show_bytes(free)} free", hint)


def verify(root: Path) -> Iterator[Check]:
    """Compare every result in the store with its digests; nothing is changed."""
    results = [item for item in items(root) if item.kind == "result"]
    damaged = [item for item in results if verified(item.path) is None]
    for item in damaged:
        hint = "the next run that needs it makes it again"
        yield Check("result", "warning", f"{item.key[:12]} is damaged", hint)
    yield Check(
        "results", "ok", f"{len(results) - len(damaged)} of {len(results)} are as they were written"
    )
