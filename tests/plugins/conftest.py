"""The sample package is tested where it is installed, by test_third_party.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

collect_ignore = ["taxiway_sample"]
Python = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """`python("-m", "taxiway", ..., path=[folder])`: with more packages on the path, and a store of its own."""

    def run(*words: str, path: list[Path]) -> subprocess.CompletedProcess[str]:
        more = os.pathsep.join(map(str, path))
        environment = {"PYTHONPATH": more, "TAXIWAY_STORE": str(tmp_path / "store")}
        return subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **environment},
        )

    return run
