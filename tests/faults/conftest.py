"""Runs of the command line in processes of their own, to be killed, and what they left."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from taxiway.execute.store import Store, verified


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> set[int]:
    """All processes below one."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        own = {int(p) for task in tasks for p in (task / "children").read_text().split()}
    except OSError:
        return set()
    return own.union(*(children(child) for child in own))


@dataclass
class Run:
    """One `taxiway run` as a process in a session of its own, with its output folder."""

    process: subprocess.Popen[str]
    output: Path

    def folders(self) -> list[Path]:
        return sorted(path.parent for path in self.output.rglob("events.jsonl"))

    def events(self) -> list[dict[str, Any]]:
        """Every event of every run in the output folder, as far as they are written."""
        lines = [
            line
            for folder in self.folders()
            for line in (folder / "events.jsonl").read_text().splitlines()
        ]
        return [json.loads(line) for line in lines if line.endswith("}")]

    def finished(self, cached: bool) -> list[str]:
        """The keys of the steps that were done, or found in the store."""
        ends = [event for event in self.events() if event["event"] == "stepfinished"]
        return [event["key"] for event in ends if event["cached"] is cached]

    def wait_for(self, condition: Callable[[dict[str, Any]], bool]) -> bool:
        """Until an event fulfils the condition; False where the run ends before."""
        while not any(map(condition, self.events())):
            if self.process.poll() is not None:
                return False
            time.sleep(0.002)
        return True

    def signal(self, number: int) -> set[int]:
        """Send a signal; gives the processes that the run had started."""
        started = children(self.process.pid)
        self.process.send_signal(number)
        return started

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=300)
        return self.process.returncode, out, err


@dataclass
class Runs:
    """Starts runs on one store, each with an output folder of its own."""

    root: Path
    started: list[Run] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.root / "store"

    def start(self, recipe: Path | str, *words: str, program: tuple[str, ...] = ()) -> Run:
        output = self.root / f"runs{len(self.started)}"
        command = [sys.executable, *(program or ("-m", "taxiway")), "run", str(recipe)]
        process = subprocess.Popen(
            [*command, "--store", str(self.store), "--output", str(output), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(Run(process, output))
        return self.started[-1]

    def finish(self, recipe: Path | str, *words: str) -> tuple[Run, dict[str, Any]]:
        """Run to the end; gives the run and its report."""
        run = self.start(recipe, "--json", *words)
        code, out, err = run.end()
        assert code == 0, err + out
        return run, json.loads(out)

    def published(self) -> set[str]:
        """The keys in the store; each must be whole."""
        folders = list((self.store / "steps").glob("??/*"))
        assert [folder for folder in folders if verified(folder) is None] == []
        return {folder.name for folder in folders}

    def unfinished(self) -> list[Path]:
        return list((self.store / "tmp").iterdir())

    def models(self) -> dict[str, dict[str, str]]:
        """Step -> digest of each file, of the steps that made a model."""
        store, models = Store(self.store), {}
        for key in self.published():
            entry = store.get(key)
            assert entry is not None
            if entry.record.get("model"):
                models[entry.record["step"]] = entry.outputs
        return models


@pytest.fixture(scope="session")
def new_runs() -> Iterator[Callable[[Path], Runs]]:
    """Makes a store with its runs below a folder; ends what still runs at the end."""
    made: list[Runs] = []

    def make(root: Path) -> Runs:
        made.append(Runs(root))
        return made[-1]

    yield make
    for run in (run for runs in made for run in runs.started):
        if run.process.poll() is None:
            run.process.kill()
            run.process.communicate()


@pytest.fixture
def runs(new_runs: Callable[[Path], Runs], tmp_path: Path) -> Runs:
    return new_runs(tmp_path)


@pytest.fixture
def gone() -> Callable[[set[int]], bool]:
    """Whether all of some processes end within ten seconds."""

    def wait(pids: set[int]) -> bool:
        for _ in range(200):
            if not any(map(alive, pids)):
                return True
            time.sleep(0.05)
        return False

    return wait
