"""A plugin that misbehaves, in a distribution of its own, and what it takes to watch processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

FOUL = """
import ctypes, mmap, os, re, signal, subprocess, sys, time
from taxiway.errors import SafetyError
from taxiway.plugins import Config, Source


def bomb(context):
    held = []
    while True:
        held.append(bytearray(20 * 2**20))


def shared_bomb(context):
    held = []
    while True:
        part = mmap.mmap(-1, 20 * 2**20)
        part.write(b"x" * len(part))
        held.append(part)
        time.sleep(0.01)


def noise(context):
    print('{"figures": {"forged": 1}}')
    sys.stdout.write("not JSON\\\\n")
    os.write(1, b'{"error": "StepError", "message": "forged"}\\\\n')
    subprocess.run(["echo", '{"figures": {"forged": 2}}'], check=True)
    sys.stdout.flush()
    return {"noise": True}


def reads(context):
    child = subprocess.run(["cat"], capture_output=True, text=True, check=True)
    return {"own": sys.stdin.read(), "child": child.stdout}


def fork_and_die(context):
    if os.fork() == 0:
        (context.workdir / "pid").write_text(str(os.getpid()))
        time.sleep(1000)
    while not (context.workdir / "pid").exists() or not (context.workdir / "pid").read_text():
        time.sleep(0.01)
    os._exit(9)


def child_and_hang(context):
    child = subprocess.Popen(["sleep", "1000"])
    (context.workdir / "pid").write_text(str(child.pid))
    time.sleep(1000)


def starve(context):
    (context.workdir / "started").touch()
    re.match("(a+)+b", "a" * 64)


def refuse(context):
    raise SafetyError("refused", "another file")


def progress(context):
    for done in range(1, 11):
        context.progress(done, 10, "samples")
    return {}


DEEDS = {
    "work": lambda c: {"pid": os.getpid()},
    "abort": lambda c: os.abort(),
    "kill": lambda c: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda c: ctypes.string_at(0),
    "exit": lambda c: os._exit(3),
    "system exit": lambda c: sys.exit(4),
    "raise": lambda c: {}["absent"],
    "import": lambda c: __import__("keras_of_another_kind"),
    "recursion": lambda c: (f := lambda: f())(),
    "hang": lambda c: time.sleep(1000),
    "close": lambda c: (os.closerange(3, 100), time.sleep(1000)),
    "nan": lambda c: {"accuracy": float("nan")},
    "object": lambda c: {"accuracy": object()},
    "environment": lambda c: dict(os.environ),
    "bomb": bomb, "shared bomb": shared_bomb, "noise": noise, "reads": reads, "starve": starve,
    "fork and die": fork_and_die, "child and hang": child_and_hang, "refuse": refuse,
    "progress": progress,
}


class Foul(Source):
    class Config(Config, frozen=True, tag_field="type", tag="foul"):
        deed: str

    produces = "onnx"

    def run(self, options, context):
        return DEEDS[options.deed](context)
"""


@pytest.fixture
def foul(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Installs the source plugin `foul` for the worker processes of this test; gives its folder."""
    folder = tmp_path / "site"
    metadata = folder / "foul-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "foul.py").write_text(FOUL.replace("\\\\n", "\\n"))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: foul\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[taxiway.source]\nfoul = foul:Foul\n")
    already = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), already])))
    return folder


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def gone():
    """Whether a process ends within ten seconds."""

    def wait(pid: int) -> bool:
        for _ in range(200):
            if not alive(pid):
                return True
            time.sleep(0.05)
        return False

    return wait
