"""The worker process: reads a task a line, runs the step, answers on the pipe that was its standard output.

python -P -m taxiway.execute.worker_main MEMORY_LIMIT_IN_BYTES
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import queue
import random
import signal
import sys
import threading
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import msgspec

from taxiway.errors import StepError, TaxiwayError, WorkerError
from taxiway.model import Model
from taxiway.plugins import Context, Dataset, Measurement, Note, Stage, Step, registry
from taxiway.plugins.quantity import show_bytes
from taxiway.plugins.registry import missing_module

_RECURSION = sys.getrecursionlimit()
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> int:
    """Serve tasks until the parent closes the pipe, or dies."""
    _die_with_parent()
    pipe, answers = _private_pipes()
    _limit(int(sys.argv[1]))
    tasks: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(pipe, tasks), daemon=True).start()
    while True:
        _send(answers, _answer(tasks.get(), answers))


def _private_pipes() -> tuple[IO[bytes], IO[str]]:
    """The pipes to the parent, out of the reach of foreign code that reads input or prints."""
    pipe = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return pipe, answers


def _die_with_parent() -> None:
    """Linux: native code that never lets the reading thread run must not outlive the parent, either."""
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _read(pipe: IO[bytes], tasks: queue.Queue[dict[str, Any]]) -> None:
    """The end of the pipe means that the parent is gone: then nothing here may outlive it."""
    for line in pipe:
        tasks.put(json.loads(line))
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _limit(memory: int) -> None:
    """Bound memory; write no core file, which would hold all of it."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _send(stream: IO[str], message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def _answer(task: dict[str, Any], answers: IO[str]) -> dict[str, Any]:
    last = [0.0]

    def progress(done: int, total: int | None, unit: str) -> None:
        now = time.monotonic()
        if now - last[0] >= 0.1 or done == total:
            last[0] = now
            _send(answers, {"progress": [done, total, unit]})

    _reset_peak()
    try:
        return {**perform(task, progress), "peak_memory": _peak()}
    except TaxiwayError as error:
        return error.to_dict()
    except MemoryError:
        _log_traceback()
        used = f"peak memory {show_bytes(_peak() or 0)}, limit {show_bytes(int(sys.argv[1]))}"
        return WorkerError(
            f"{task['name']}: out of memory ({used})",
            "raise the limit: limits.memory='16 GiB', or use fewer or smaller samples",
        ).to_dict()
    except ImportError as error:
        _log_traceback()
        return missing_module(error).to_dict()
    except BaseException as error:
        _log_traceback()
        first = (str(error).strip() or repr(error)).splitlines()[0]
        full = isinstance(error, OSError) and error.errno in _DISK_FULL
        return StepError(
            f"{task['name']}: {type(error).__name__}: {first}",
            "free some space, or `taxiway gc`"
            if full
            else "the whole message is in the worker's log",
        ).to_dict()


def _log_traceback() -> None:
    """To the log; a full disk must not hide the error itself."""
    with contextlib.suppress(OSError):
        traceback.print_exc()


def perform(task: dict[str, Any], progress: Any) -> dict[str, Any]:
    """Run one step: `{"model": ...}` where it made one, `{"figures": ...}` where it measured."""
    # A library may have taken it away: then a nested file would end the process.
    sys.setrecursionlimit(_RECURSION)
    _seed(task["seed"])
    plugin = registry().get(task["section"], task["plugin"])
    step = plugin.implementation(task["takes"])
    options = msgspec.convert(task["options"], plugin.step.Config)
    workdir = Path(task["workdir"])
    notes: list[Note] = []
    told: dict[str, Any] = {}
    checkpoints = task.get("checkpoints")
    context = Context(
        workdir=workdir,
        seed=task["seed"],
        reference=_model(task, "reference"),
        approximates=bool(task.get("approximates")),
        baseline=_measurement(task),
        chain=_chain(task),
        data=_dataset(task),
        figures=task.get("figures") or {},
        recipe=task.get("recipe") or {},
        progress=progress,
        note=notes.append,
        tell=told.__setitem__,
        checkpoints=Path(checkpoints) if checkpoints else None,
    )
    model = _model(task, "model")
    result = step.run(options, context) if model is None else step.run(model, options, context)
    if isinstance(result, Model):
        return {
            "model": _keeping(task["name"], step, model, result).to_dict(workdir),
            "notes": [asdict(note) for note in notes],
            "told": _plain(told, task["name"]),
        }
    return {"figures": _plain(result, task["name"])}


def _keeping(name: str, step: Step, model: Model | None, result: Model) -> Model:
    """The result with the promises that go on from the model before it. Raises StepError where one is broken."""
    before = model.promises if model else ()
    if not before and not result.promises:
        return result
    from taxiway.model.kept import broken, inherited

    result = msgspec.structs.replace(
        result, promises=inherited(before, result.promises, getattr(step, "renews", False))
    )
    if lines := broken(result.promises, result):
        raise StepError(
            f"{name} does not keep what an earlier pass promised:\n" + "\n".join(lines),
            "put the pass that made the promise after this step, or leave this step out",
        )
    return result


def _plain(figures: Any, step: str) -> Any:
    """Raises StepError where figures are no JSON, such as NumPy's own numbers or NaN."""
    try:
        return json.loads(json.dumps(figures, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise StepError(
            f"{step}: its figures are no JSON: {error}", "give finite floats, ints and strings"
        ) from error


def _model(task: dict[str, Any], role: str) -> Model | None:
    given = task.get(role)
    return Model.from_dict(given["model"], Path(given["root"])) if given else None


def _measurement(task: dict[str, Any]) -> Measurement | None:
    given = task.get("baseline")
    return Measurement(given["figures"], Path(given["root"])) if given else None


def _chain(task: dict[str, Any]) -> tuple[Stage, ...]:
    return tuple(
        Stage(given["step"], given["plugin"], Model.from_dict(given["model"], Path(given["root"])))
        for given in task.get("chain", ())
    )


def _dataset(task: dict[str, Any]) -> Dataset | None:
    given = task.get("data")
    if not given:
        return None
    plugin = registry().get("data", given["plugin"])
    options = msgspec.convert(given["options"], plugin.step.Config)
    dataset: Dataset = plugin.implementation(None).open(options, task["seed"])
    return dataset


def _seed(seed: int) -> None:
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)


def _reset_peak() -> None:
    """Linux: writing 5 resets the peak that VmHWM shows (proc(5), /proc/pid/clear_refs)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int | None:
    """Bytes of memory at the peak since `_reset_peak`; None where the system does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


if __name__ == "__main__":
    raise SystemExit(main())
