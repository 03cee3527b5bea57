"""The commands that must start in milliseconds import none of the heavy libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    *("hydra", "omegaconf", "yaml", "jsonschema", "rich", "numpy"),
    *("onnx", "onnxruntime", "tensorflow", "keras", "ai_edge_litert"),
}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["list"],
        ["list", "plugins"],
        ["list", "groups"],
        ["list", "runs"],
        ["completion", "bash"],
        ["completion", "--complete", "taxiway run digits_int8 optimize.quantize_static."],
    ],
    ids=" ".join,
)
def test_light_commands_import_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    code = (
        "import contextlib, io, sys\n"
        "from taxiway.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(sys.argv[1:])\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    modules = set(done.stdout.split())
    assert "taxiway" in modules
    assert not modules & HEAVY
