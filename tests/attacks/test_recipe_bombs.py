"""S21: a recipe that would exhaust the machine is refused early, in little memory, without a traceback."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

MAX_RESIDENT = 200 * 2**20
FULL = os.environ.get("TAXIWAY_ATTACKS") == "full"
HEAD = "defaults: [base, source: onnx]\nname: bomb\n"


def alias_bomb() -> str:
    names = "abcdefghijkl"
    rows = [f"{names[0]}: &{names[0]} [{','.join('x' * 9)}]"]
    for old, new in pairwise(names):
        rows.append(f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]")
    return HEAD + "\n".join(rows) + "\n"


def deep_aliases() -> str:
    rows = (
        f"x{n}: &x{n} " + "[" * 30 + (f"*x{n - 1}" if n else "1") + "]" * 30 for n in range(190)
    )
    return HEAD + "\n".join(rows) + "\n"


def doubling(item: str, last: str) -> str:
    rows = [f"x{n}: " + item.format(f"${{x{n + 1}}}") for n in range(40)]
    return HEAD + "\n".join(rows) + f"\nx40: {last}\n"


REFUSED: dict[str, Callable[[], str | bytes]] = {
    "alias bomb": alias_bomb,
    "deep aliases": deep_aliases,
    "many aliases": lambda: HEAD + "a: &a 1\nb: [" + "*a," * 20_000 + "]\n",
    "recursion": lambda: HEAD + "a: &a [*a]\n",
    "recursive mapping": lambda: HEAD + "a: &a {b: *a}\n",
    "3,000 deep, flow": lambda: HEAD + "a: " + "[" * 3000 + "]" * 3000 + "\n",
    "3,000 deep, flow mapping": lambda: HEAD + "a: " + "{a: " * 3000 + "1" + "}" * 3000 + "\n",
    "3,000 deep, block": lambda: HEAD + "a: " + "- " * 3000 + "1\n",
    "100,000 values": lambda: HEAD + "a: [" + "1," * 100_000 + "]\n",
    "huge key": lambda: HEAD + "k" * 900_000 + ": 1\n",
    "huge number": lambda: HEAD + "seed: " + "9" * 5000 + "\n",
    "doubling text": lambda: doubling("'{0}{0}'", "aaaaaaaa"),
    "doubling lists": lambda: doubling("['{0}','{0}']", "a"),
    "wide interpolation": lambda: HEAD + "a: " + "x" * 300_000 + "\nb: " + "${a}" * 30_000 + "\n",
    "deep interpolation": lambda: HEAD + "a: '" + "${b." * 240 + "}" * 240 + "'\n",
    "binary": lambda: bytes(range(256)) * 40,
    "NULs": lambda: bytes(1000),
    "UTF-16": lambda: HEAD.encode("utf-16"),
    "100 MB scalar": lambda: HEAD + "description: " + "x" * (100 * 2**20 if FULL else 2**21) + "\n",
}
COMMAND = """
import sys
from taxiway.cli.main import main
from taxiway.model.probe import peak_memory
code = main(sys.argv[1:])
print("PEAK", peak_memory())
sys.exit(code)
"""


@pytest.mark.parametrize("name", REFUSED)
def test_bombs(tmp_path: Path, name: str) -> None:
    content = REFUSED[name]()
    recipe = tmp_path / "bomb.yaml"
    recipe.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, output, peak = measured("plan", str(recipe))
    assert code in (2, 5) and "error:" in output, output[-2000:]
    assert "Traceback" not in output
    assert len(output) < 20_000
    assert peak < MAX_RESIDENT


def measured(*words: str) -> tuple[int, str, int]:
    """Exit code, both outputs, and the peak of resident memory in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (30, 30)),
    )
    peak = int(done.stdout.rsplit("PEAK", 1)[1]) if "PEAK" in done.stdout else 0
    return done.returncode, done.stdout + done.stderr, peak


def fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    "make",
    [
        fifo,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("/dev/stdin"),
        lambda path: path.mkdir(),
        lambda path: path.symlink_to(path),
    ],
    ids=["fifo", "endless device", "stdin", "folder", "loop"],
)
@pytest.mark.parametrize("where", ["recipe", "group"])
def test_no_regular_file(folder: Path, make: Callable[[Path], None], where: str) -> None:
    path = folder / "hostile.yaml"
    words = ["plan", str(path)]
    if where == "group":
        (folder / "conf" / "data").mkdir(parents=True)
        path = folder / "conf" / "data" / "hostile.yaml"
        words = ["plan", "mine.yaml", "data=hostile"]
    make(path)
    code, output, peak = measured(*words)
    assert code in (2, 5) and "error:" in output and "Traceback" not in output, output
    assert peak < MAX_RESIDENT
