"""Several runs at once on one store: each result is made once, and nobody waits for the dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from filelock import FileLock

FULL = os.environ.get("TAXIWAY_FAULTS") == "full"
pytestmark = pytest.mark.slow

SAMPLES = "optimize.quantize_static.calibration.samples"


@pytest.mark.parametrize("count", [8] if FULL else [2])
@pytest.mark.parametrize("variants", [1, 2], ids=["one recipe", "two recipes"])
def test_each_result_is_made_once(variants: int, count: int, runs, onnx_recipe: Path) -> None:
    """Recipes that differ in a pass share the source and its measurement."""
    started = [
        runs.start(onnx_recipe, "--json", f"{SAMPLES}={16 + number % variants}")
        for number in range(count)
    ]
    for run in started:
        code, out, err = run.end()
        assert code == 0, err + out
    made = Counter(key for run in started for key in run.finished(cached=False))
    assert set(made.values()) == {1}
    assert set(made) == runs.published()
    assert len(made) == 8 + 6 * (variants - 1)
    waited = [e for run in started for e in run.events() if e.get("waiting")]
    assert {e["event"] for e in waited} <= {"stepstarted"}
    for variant in range(variants):
        same = started[variant::variants]
        models = [(run.folders()[0] / "blobs_int8.onnx").read_bytes() for run in same]
        assert len(set(models)) == 1
    assert runs.unfinished() == []


HOLD = """
import sys
from pathlib import Path
from taxiway.execute.store import Store
with Store(Path(sys.argv[1])).owned(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(store: Path, key: str) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store), key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    key = "a" * 64
    holder = hold(tmp_path, key)
    lock = FileLock(tmp_path / "locks" / key)
    assert not lock.is_locked
    with pytest.raises(TimeoutError):
        lock.acquire(timeout=0)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with lock.acquire(timeout=5):
        assert lock.is_locked


def test_a_run_waits_for_the_owner_of_a_result_and_says_so(runs, onnx_recipe: Path) -> None:
    import taxiway

    key = taxiway.load(onnx_recipe).plan().steps[0].key
    holder = hold(runs.store, key)
    run = runs.start(onnx_recipe)
    assert run.wait_for(lambda event: event.get("waiting") is True)
    assert run.finished(cached=False) == []
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    code, out, err = run.end()
    assert code == 0, err
    assert "source: waiting for another run that makes it" in out
    assert len(run.finished(cached=False)) == 8
