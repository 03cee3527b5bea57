"""A bound on what a library may allocate while it opens a hostile file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HDF5_MEMORY = 256 * 2**20
"""Bytes for HDF5's own structures; a gate reads no weights."""


@contextmanager
def bounded_memory(extra: int) -> Iterator[None]:
    """Within, the process cannot allocate more than `extra` bytes beyond what it holds.

    HDF5 allocates a heap by the size that the file claims, and fills it. Linux only (RLIMIT_DATA and
    /proc); elsewhere nothing is bounded but by the worker.
    """
    held = _data_segment()
    if held is None:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = held + extra
    if soft != resource.RLIM_INFINITY:
        wanted = min(wanted, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_segment() -> int | None:
    """Bytes that RLIMIT_DATA counts; None where the system does not say."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmData")).split()[1]) * 1024
    return None
