"""Measures a model in a fresh process: load time, latency per sample, peak memory.

`python -P -m taxiway.model.probe MODEL.json INPUTS.npz` prints one JSON line. MODEL.json holds
`format`, `path` and, so that the model is loaded but once, its `signature`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from taxiway.errors import StepError, TaxiwayError
from taxiway.model.model import Model

if TYPE_CHECKING:
    import numpy as np

    from taxiway.model.runners import Runner

WARM_UP = 10
MIN_RUNS = 20
MAX_RUNS = 500
"""Enough for a 95th percentile with 25 calls above it; a fast model needs no second of them."""
TIME_BUDGET = 1.0
_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe measured.

    latency_p50, latency_p95: seconds for one sample, over `latency_samples` timed calls.
    peak_memory: bytes resident at the highest, runtime and model together.
    load_time: seconds from importing the runtime until the model is ready; None where it was loaded
    before.
    """

    latency_p50: float
    latency_p95: float
    latency_samples: int
    peak_memory: int
    load_time: float | None = None


def probe(
    model: Model,
    inputs: Mapping[str, np.ndarray[Any, Any]],
    workdir: Path,
    *,
    threads: int = 1,
    runs: int | None = None,
    outputs: Path | None = None,
    timeout: float = 300.0,
) -> Figures:
    """Figures of `model` on `inputs` (`[n, ...]` each), measured in a fresh process.

    runs: timed predictions of one sample; None takes as many as fit one second, from 20 to 500.
    outputs: an .npz file that gets the predictions of all samples.
    timeout: seconds for the whole process. Files for it are written to `workdir`. Raises StepError
    with the last lines of the process's messages where it fails.
    """
    import numpy as np

    workdir = workdir.absolute()
    request, samples = workdir / "probe_model.json", workdir / "probe_inputs.npz"
    path = model.path.resolve()
    request.write_bytes(
        msgspec.json.encode({**model.to_dict(model.path.parent), "path": str(path)})
    )
    np.savez(samples, allow_pickle=False, **inputs)
    command = [sys.executable, "-P", "-m", "taxiway.model.probe", str(request), str(samples)]
    command += ["--threads", str(threads)]
    command += ["--runs", str(runs)] if runs else []
    command += ["--outputs", str(outputs.absolute())] if outputs else []
    environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    try:
        result = subprocess.run(
            command,
            env=environment,
            cwd=workdir,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        raise StepError(f"probing {model.path.name} took more than {timeout:g} s") from error
    finally:
        request.unlink()
        samples.unlink()
    if result.returncode != 0:
        last = "\n".join(result.stderr.strip().splitlines()[-5:])
        raise StepError(
            f"probing {model.path.name} failed (exit code {result.returncode}):\n{last}"
        )
    return msgspec.json.decode(result.stdout.strip().splitlines()[-1], type=Figures)


def peak_memory() -> int:
    """Bytes of the most resident memory this process has had.

    Linux: VmHWM, because getrusage there counts the memory of the parent before exec, too. Else
    getrusage, which gives KiB, on macOS bytes.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _time(predict: Callable[[int], object], runs: int | None) -> list[float]:
    """Seconds of each timed call, after the warm-up; `predict` gets the call's number."""
    for call in range(WARM_UP):
        predict(call)
    taken: list[float] = []
    end = time.perf_counter() + TIME_BUDGET
    while len(taken) < (runs or MIN_RUNS) or (
        runs is None and len(taken) < MAX_RUNS and time.perf_counter() < end
    ):
        start = time.perf_counter()
        predict(len(taken))
        taken.append(time.perf_counter() - start)
    return taken


def _measure(arguments: argparse.Namespace) -> Figures:
    import numpy as np

    from taxiway.model.inspect import describe
    from taxiway.model.runners import open_runner

    request = json.loads(arguments.model.read_text())
    with np.load(arguments.inputs, allow_pickle=False) as archive:
        inputs = {name: archive[name] for name in archive.files}
    path = Path(request["path"])
    start = time.perf_counter()
    model = (
        Model.from_dict(request, path.parent)
        if "signature" in request
        else describe(path, request["format"])
    )
    runner = open_runner(model, arguments.threads)
    load_time = time.perf_counter() - start
    figures, samples = measure(runner, inputs, arguments.runs), _samples(inputs)
    if arguments.outputs:
        predicted = [runner.predict(sample) for sample in samples]
        stacked = {name: np.concatenate([p[name] for p in predicted]) for name in predicted[0]}
        np.savez(arguments.outputs, allow_pickle=False, **stacked)
    return msgspec.structs.replace(figures, load_time=load_time)


def measure(
    runner: Runner, inputs: Mapping[str, np.ndarray[Any, Any]], runs: int | None = None
) -> Figures:
    """Figures of a loaded model in this process, whose whole past is in the peak memory."""
    import numpy as np

    samples = _samples(inputs)
    taken = _time(lambda call: runner.predict(samples[call % len(samples)]), runs)
    return Figures(
        latency_p50=float(np.percentile(taken, 50)),
        latency_p95=float(np.percentile(taken, 95)),
        latency_samples=len(taken),
        peak_memory=peak_memory(),
    )


def _samples(
    inputs: Mapping[str, np.ndarray[Any, Any]],
) -> list[dict[str, np.ndarray[Any, Any]]]:
    n = min((len(array) for array in inputs.values()), default=0)
    if n == 0:
        raise StepError("there is no sample to probe the model with")
    return [{name: array[i : i + 1] for name, array in inputs.items()} for i in range(n)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m taxiway.model.probe", description=__doc__)
    parser.add_argument("model", type=Path, help="JSON file with format and path")
    parser.add_argument("inputs", type=Path, help="NPZ file with one array [n, ...] per input")
    parser.add_argument(
        "--runs", type=int, help="timed predictions (default: 20 to 500, in a second)"
    )
    parser.add_argument("--threads", type=int, default=1, help="intra-op threads")
    parser.add_argument("--outputs", type=Path, help="NPZ file that gets the predictions")
    arguments = parser.parse_args()
    try:
        # Runtimes write to standard output, too; the figures must be its last line.
        with contextlib.redirect_stdout(sys.stderr):
            figures = _measure(arguments)
    except TaxiwayError as error:
        sys.stderr.write(error.render() + "\n")
        return error.exit_code
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
