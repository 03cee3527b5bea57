"""CPU time, wall time and peak memory of a command with everything it starts (Linux)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

POLL = 0.02
"""Seconds between two looks at the memory of all processes."""


@dataclass(frozen=True)
class Usage:
    """cpu: user and system seconds of the command and all that it waited for. wall: seconds.

    peak_memory: bytes resident at the highest in the process that started. largest: the same of
    the largest process, that one or another.
    """

    cpu: float
    wall: float
    peak_memory: int
    largest: int
    exit_code: int
    output: str


def measure(command: Sequence[str | Path], cwd: Path) -> Usage:
    """Run `command` in `cwd` to its end. Raises RuntimeError where it fails.

    Memory is read while it runs, because a process may have its own high-water mark reset
    (proc(5), clear_refs), and wait4 mixes that of a process with those of its children.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        peaks: dict[int, int] = {}
        while True:
            done, status, used = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            for pid in _tree(process.pid):
                peaks[pid] = max(peaks.get(pid, 0), _high_water(pid))
            time.sleep(POLL)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        output = said.read()
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}:\n{output[-2000:]}")
    return Usage(
        used.ru_utime + used.ru_stime,
        wall,
        peaks.get(process.pid, 0),
        max(peaks.values(), default=0),
        process.returncode,
        output,
    )


def _tree(pid: int) -> list[int]:
    """The process and all below it that live now."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in _tree(int(child)))]


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def taxiway(*words: str | Path) -> list[str | Path]:
    """A command line of the Taxiway installed beside this Python."""
    return [Path(sys.executable).with_name("taxiway"), *words]
