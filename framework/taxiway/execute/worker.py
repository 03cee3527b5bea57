"""The worker process, seen from the parent: one is started per run, does the steps, and may die without harm.

The parent sends one task a line and reads events and the answer, one JSON object a line. The
worker's own output goes to a log file.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from taxiway.errors import WorkerError, from_dict
from taxiway.execute.limits import StepLimits
from taxiway.plugins.quantity import show_bytes, show_seconds

_POLL = 0.1
_GRACE = 5.0
"""Seconds that a worker which closed its pipe has to end."""
_KEPT = (
    *(
        "PATH",
        "HOME",
        "USER",
        "LANG",
        "TZ",
        "TMPDIR",
        "TEMP",
        "SYSTEMROOT",
        "VIRTUAL_ENV",
        "PYTHONPATH",
    ),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "PYTHONPYCACHEPREFIX"),
)
_KEPT_PREFIXES = ("LC_", "TF_", "XLA_", "OMP_", "OPENBLAS_", "MKL_", "KERAS_")
_DEFAULTS = {"PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
MEASURING = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
"""Latencies are those of one thread; TensorFlow takes the number before its first operation."""


def clean_environment(more: Mapping[str, str] = MEASURING) -> dict[str, str]:
    """What foreign code may see of the environment: no credentials, nothing that is not needed.

    more: what it holds besides, unless the user's own environment says otherwise.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    return {**_DEFAULTS, **more, **kept}


class Worker:
    """A process for foreign code. Started at the first task; use as a context manager."""

    def __init__(
        self, limits: StepLimits, log: Path, environment: Mapping[str, str] = MEASURING
    ) -> None:
        self._limits = limits
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._peak = 0

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def run(
        self, step: str, task: Mapping[str, Any], progress: Callable[[int, int | None, str], None]
    ) -> dict[str, Any]:
        """Do one task and give its answer.

        Raises what the step raised, or WorkerError where the process died, hung or used more
        memory than its limit.
        """
        process = self._start()
        self._peak = 0
        stream = process.stdin
        assert stream is not None
        try:
            stream.write(json.dumps(task).encode() + b"\n")
            stream.flush()
        except BrokenPipeError:
            raise self._died(step) from None
        started = time.monotonic()
        while True:
            line = self._line()
            self._watch(step, started)
            if line is None:
                continue
            if not line:
                raise self._died(step)
            message = json.loads(line)
            if "progress" in message:
                progress(*message["progress"])
            elif "error" in message:
                raise from_dict(message)
            else:
                answer: dict[str, Any] = message
                return answer

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        "taxiway.execute.worker_main",
                        str(self._limits.memory),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=clean_environment(self._environment),
                    start_new_session=True,
                )
        return self._process

    def _line(self) -> bytes | None:
        """The next line; None when there is none yet, empty at the end of the stream."""
        assert self._process is not None and self._process.stdout is not None
        if b"\n" not in self._buffer:
            ready, _, _ = select.select([self._process.stdout], [], [], _POLL)
            if not ready:
                # What it forked may hold the pipe open after its death.
                return None if self._process.poll() is None else b""
            chunk = os.read(self._process.stdout.fileno(), 1 << 16)
            if not chunk:
                return b""
            self._buffer += chunk
            if b"\n" not in self._buffer:
                return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _watch(self, step: str, started: float) -> None:
        """Stop a step that is over its limits."""
        self._peak = max(self._peak, self._resident())
        if self._peak > self._limits.memory:
            self.kill()
            raise WorkerError(
                f"{step} used {show_bytes(self._peak)} of memory; its limit is {show_bytes(self._limits.memory)}",
                "raise it: limits.memory='16 GiB', or use fewer or smaller samples",
            )
        if time.monotonic() - started > self._limits.seconds:
            self.kill()
            raise WorkerError(
                f"{step} gave no result within {show_seconds(self._limits.seconds)}; it was stopped at "
                f"{show_bytes(self._peak)} of memory",
                "raise the limit: limits.time='2 h'; the worker's last lines are in its log",
            )

    def _resident(self) -> int:
        """Bytes of memory that the process holds; 0 where the system does not say (no /proc)."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            statm = Path(f"/proc/{self.pid}/statm").read_text()
            return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return 0

    def _died(self, step: str) -> WorkerError:
        assert self._process is not None
        closed = False
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            closed = True
        code = self.kill()
        peak = f"peak memory {show_bytes(self._peak)}"
        if self._out_of_memory():
            cause = f"out of memory ({peak}, limit {show_bytes(self._limits.memory)})"
            return WorkerError(
                f"{step}: the worker died: {cause}",
                "raise the limit: limits.memory='16 GiB', or use fewer or smaller samples",
            )
        if closed:
            cause = f"it closed its pipe to Taxiway ({peak})"
        elif code == -signal.SIGKILL:
            cause = f"killed from outside, most likely by the system for lack of memory ({peak})"
        elif code < 0:
            cause = f"{signal.Signals(-code).name} in native code ({peak})"
        else:
            cause = f"exit code {code} ({peak})"
        return WorkerError(
            f"{step}: the worker died: {cause}",
            f"its last lines are in {self._log}; run the same command to go on from the finished steps",
        )

    def _out_of_memory(self) -> bool:
        with self._log.open("rb") as stream:
            stream.seek(max(0, self._log.stat().st_size - 4096))
            tail = stream.read()
        return any(
            text in tail for text in (b"bad_alloc", b"MemoryError", b"Cannot allocate memory")
        )

    def kill(self) -> int:
        """End the worker and everything it started, and give its exit code."""
        if self._process is None:
            return 0
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()
        self._process = None
        self._buffer = b""
        return code
