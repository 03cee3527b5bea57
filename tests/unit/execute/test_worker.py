"""The worker under steps that crash, hang, eat memory, print, read and fork: the parent always knows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taxiway.errors import SafetyError, StepError, TaxiwayError, WorkerError
from taxiway.execute.limits import StepLimits
from taxiway.execute.worker import Worker, clean_environment
from taxiway.execute.workers import Workers

pytestmark = pytest.mark.usefixtures("foul")
GIB = 2**30


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


@pytest.fixture
def worker(log: Path) -> Iterator[Worker]:
    with Worker(StepLimits(memory=4 * GIB, seconds=60), log) as worker:
        yield worker


@pytest.fixture
def do(tmp_path: Path):
    """Has a worker do one deed."""

    def do(worker: Worker, deed: str, progress=lambda done, total, unit: None) -> dict[str, Any]:
        workdir = tmp_path / "workdir"
        workdir.mkdir(exist_ok=True)
        task = {
            "name": "source",
            "section": "source",
            "plugin": "foul",
            "takes": None,
            "options": {"type": "foul", "deed": deed},
            "workdir": str(workdir),
            "seed": 0,
        }
        return worker.run("source", task, progress)

    return do


def test_one_process_does_all_steps(worker: Worker, do) -> None:
    first = do(worker, "work")["figures"]["pid"]
    assert first == worker.pid != os.getpid()
    assert do(worker, "work")["figures"]["pid"] == first


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        ("abort", "source: the worker died: SIGABRT in native code (peak memory "),
        ("segfault", "source: the worker died: SIGSEGV in native code (peak memory "),
        ("kill", "source: the worker died: killed from outside"),
        ("exit", "source: the worker died: exit code 3 (peak memory "),
        ("fork and die", "source: the worker died: exit code 9 (peak memory "),
    ],
)
def test_a_death_is_an_error_that_names_step_and_cause(deed, message, worker, log, do) -> None:
    with pytest.raises(WorkerError) as caught:
        do(worker, deed)
    assert caught.value.message.startswith(message)
    assert str(log) in str(caught.value.hint)
    assert "same command" in str(caught.value.hint)


def test_after_a_death_the_next_task_gets_a_new_process(worker: Worker, do) -> None:
    with pytest.raises(WorkerError):
        do(worker, "abort")
    assert do(worker, "work")["figures"]["pid"] == worker.pid


def test_a_native_crash_leaves_no_core_file(worker: Worker, do, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkerError):
        do(worker, "abort")
    assert [path.name for path in tmp_path.iterdir() if "core" in path.name] == []


@pytest.mark.parametrize(
    ("deed", "kind", "message"),
    [
        ("raise", StepError, "source: KeyError: 'absent'"),
        ("system exit", StepError, "source: SystemExit: 4"),
        ("recursion", StepError, "source: RecursionError: maximum recursion depth"),
        ("nan", StepError, "source: its figures are no JSON: "),
        ("object", StepError, "source: its figures are no JSON: "),
        ("refuse", SafetyError, "refused"),
        ("import", TaxiwayError, "module 'keras_of_another_kind' is not installed"),
    ],
)
def test_an_exception_is_an_error_of_the_step(deed, kind, message, worker: Worker, do) -> None:
    with pytest.raises(kind) as caught:
        do(worker, deed)
    assert not isinstance(caught.value, WorkerError)
    assert caught.value.message.startswith(message)
    assert do(worker, "work")["figures"]


def test_what_a_step_prints_goes_to_the_log(worker: Worker, log: Path, do) -> None:
    assert do(worker, "noise")["figures"] == {"noise": True}
    assert do(worker, "work")["figures"] == {"pid": worker.pid}
    said = log.read_text()
    for line in ('{"figures": {"forged": 1}}', "not JSON", '"forged"}', '{"forged": 2}}'):
        assert line in said


def test_a_step_that_reads_its_input_gets_nothing(worker: Worker, do) -> None:
    assert do(worker, "reads")["figures"] == {"own": "", "child": ""}
    assert do(worker, "work")["figures"] == {"pid": worker.pid}


def test_progress_arrives_in_order_and_ends_complete(worker: Worker, do) -> None:
    told: list[tuple[Any, ...]] = []
    do(worker, "progress", lambda *far: told.append(far))
    assert told[-1] == (10, 10, "samples")
    assert [done for done, _, _ in told] == sorted({done for done, _, _ in told})


@pytest.mark.parametrize("deed", ["hang", "starve", "child and hang", "close"])
def test_a_hang_is_ended_with_all_that_it_started(deed, log, do, gone, tmp_path) -> None:
    with Worker(StepLimits(memory=4 * GIB, seconds=1.5), log) as worker:
        do(worker, "work")
        pid = worker.pid
        with pytest.raises(WorkerError) as caught:
            do(worker, deed)
    expected = {"close": "source: the worker died: it closed its pipe"}.get(
        deed, "source gave no result within 1.5 s"
    )
    assert caught.value.message.startswith(expected)
    assert pid is not None
    assert gone(pid)
    if deed == "child and hang":
        assert gone(int((tmp_path / "workdir/pid").read_text()))


def test_what_a_dead_worker_forked_is_ended(worker: Worker, do, gone, tmp_path: Path) -> None:
    with pytest.raises(WorkerError):
        do(worker, "fork and die")
    assert gone(int((tmp_path / "workdir/pid").read_text()))


@pytest.mark.parametrize("deed", ["bomb", "shared bomb"])
def test_a_memory_bomb_is_stopped_at_its_limit(deed: str, log: Path, do, gone) -> None:
    with Worker(StepLimits(memory=700 * 2**20, seconds=60), log) as worker:
        do(worker, "work")
        pid = worker.pid
        with pytest.raises(WorkerError) as caught:
            do(worker, deed)
    assert caught.value.message.startswith("source")
    assert "700.0 MiB" in caught.value.message
    peak = caught.value.message.replace("source used ", "peak memory ").split("peak memory ")[1]
    assert 300 < float(peak.split(" MiB")[0]) < 900
    assert "limits.memory" in str(caught.value.hint)
    assert pid is not None
    assert gone(pid)


SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "s3cret",
    "HF_TOKEN": "s3cret",
    "GITHUB_TOKEN": "s3cret",
    "DATABASE_URL": "postgres://u:s3cret@host",
    "SSH_AUTH_SOCK": "/s3cret",
    "TAXIWAY_PASSWORD": "s3cret",
    "http_proxy": "http://u:s3cret@host",
}


def test_no_secret_reaches_the_worker(worker: Worker, do, monkeypatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    seen = do(worker, "environment")["figures"]
    assert not set(seen) & set(SECRETS)
    assert "s3cret" not in str(seen)
    assert seen["OMP_NUM_THREADS"] == "1"
    assert seen["PATH"] == os.environ["PATH"]


def test_bytecode_is_written_whatever_the_parent_does(monkeypatch) -> None:
    """Without it TensorFlow starts several times slower."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert "PYTHONDONTWRITEBYTECODE" not in clean_environment()


@pytest.mark.parametrize("chosen", [None, "4"], ids=["by default", "unless the user asks for more"])
def test_tensorflow_gets_one_thread(monkeypatch, chosen: str | None) -> None:
    """Latencies are reported for one thread, and TensorFlow shares its threads among all models."""
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    if chosen:
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", chosen)
    assert clean_environment()["TF_NUM_INTRAOP_THREADS"] == (chosen or "1")


@pytest.mark.parametrize(
    ("trains", "threads"), [(False, "1"), (True, None)], ids=["measures", "trains"]
)
def test_a_training_gets_a_process_and_all_cores(
    trains: bool, threads: str | None, log: Path, do, monkeypatch
) -> None:
    """What is measured never shares a process with a training."""
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)

    class _Step:
        class implementation:
            pass

    _Step.implementation.trains = trains
    with Workers(StepLimits(memory=4 * GIB, seconds=60), log) as workers:
        chosen = workers.of(_Step)
        assert workers.of(_Step) is chosen
        _Step.implementation.trains = not trains
        other = workers.of(_Step)
        pids = {do(worker, "work")["figures"]["pid"] for worker in (chosen, other)}
        assert len(pids) == 2
        environment = Path(f"/proc/{chosen.pid}/environ").read_text().split("\0")
        found = [line.partition("=")[2] for line in environment if "INTRAOP" in line]
        assert found == ([threads] if threads else [])
    assert chosen.pid is None and other.pid is None


PARENT = """
import sys
from pathlib import Path
from taxiway.execute.limits import StepLimits
from taxiway.execute.worker import Worker
folder = Path(sys.argv[1])
task = {"name": "source", "section": "source", "plugin": "foul", "takes": None, "seed": 0,
        "options": {"type": "foul", "deed": "work"}, "workdir": str(folder)}
with Worker(StepLimits(4 << 30, 600), folder / "log") as worker:
    worker.run("source", task, lambda *far: None)
    print(worker.pid, flush=True)
    task["options"]["deed"] = sys.argv[2]
    worker.run("source", task, lambda *far: None)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
@pytest.mark.parametrize("deed", ["hang", "starve"])
def test_the_worker_dies_with_its_parent(deed: str, end: int, tmp_path: Path, gone) -> None:
    """`starve` never lets another thread of the worker run."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), deed],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    while deed == "starve" and not (tmp_path / "started").exists():
        assert parent.poll() is None
    parent.send_signal(end)
    parent.wait()
    parent.stdout.close()
    assert gone(pid)
