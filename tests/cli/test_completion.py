from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taxiway.cli.completion import SCRIPTS, candidates
from taxiway.cli.main import COMMANDS, main

RECIPE = """\
# Mine.
defaults:
  - base
  - source: onnx
  - optimize:
      - quantize_static
      - float16
  - evaluate: null
  - _self_
name: mine
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a recipe of its own, and one in a folder below."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "below").mkdir()
    for name in ("mine.yaml", "below/deep.yaml"):
        (tmp_path / name).write_text(RECIPE)
    (tmp_path / "config.yaml").write_text("key: 1\n")
    return tmp_path


Q = "optimize.quantize_static"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("taxiway re", ["report"]),
        ("taxiway --v", ["--version"]),
        ("taxiway run mi", ["mine.yaml"]),
        ("taxiway run conf", []),
        ("taxiway run bel", ["below/"]),
        ("taxiway run below/", ["below/deep.yaml"]),
        ("taxiway run mlperf_tiny/k", ["mlperf_tiny/kws_int8"]),
        ("taxiway run --multi", ["--multirun"]),
        ("taxiway run digits_int8 --conf", ["--config-dir"]),
        ("taxiway run --output ", []),
        ("taxiway run --output x mi", ["mine.yaml"]),
        ("taxiway run --json mi", ["mine.yaml"]),
        ("taxiway diff mine.yaml mi", ["mine.yaml"]),
        ("taxiway diff mine.yaml mine.yaml nam", ["name="]),
        ("taxiway report mi", ["mine.yaml"]),
        ("taxiway list g", ["groups"]),
        ("taxiway completion f", ["fish"]),
        ("taxiway gc --m", ["--max-size"]),
        ("taxiway nonsense x", []),
        ("taxiway run nonsense x", []),
        ("taxiway run digits_int8 conv", ["convert=", "convert."]),
        ("taxiway run digits_int8 convert=o", ["convert=onnx"]),
        ("taxiway run digits_int8 convert.o", []),
        ("taxiway run digits_int8 convert=onnx convert.o", ["convert.opset="]),
        ("taxiway run digits_int8 seed=1 'convert=onnx' convert.o", ["convert.opset="]),
        (f"taxiway run digits_int8 {Q}.cal", [f"{Q}.calibration."]),
        (f"taxiway run digits_int8 {Q}.calibration.s", [f"{Q}.calibration.samples="]),
        ("taxiway run digits_int8 evaluate.gates.size.max_", ["evaluate.gates.size.max_ratio="]),
        ("taxiway run digits_int8 evaluate.baseline=s", ["evaluate.baseline=source"]),
        (
            "taxiway run digits_int8 convert.select_tf_ops=",
            ["convert.select_tf_ops=true", "convert.select_tf_ops=false"],
        ),
        ("taxiway run digits_int8 ++evaluate.bas", ["++evaluate.baseline="]),
        ("taxiway run digits_int8 limits.t", ["limits.time="]),
        ("taxiway run mine.yaml optimize.", [f"{Q}.", "optimize.float16."]),
        ("taxiway run mine.yaml ~optimize.f", ["~optimize.float16"]),
        ("taxiway run mine.yaml evaluate.", []),
        (
            "taxiway run mine.yaml 'optimize=[quantize_static,fl",
            ["optimize=[quantize_static,float16"],
        ),
        ("taxiway run mine.yaml optimize=[fl", ["optimize=[float16"]),
    ],
)
def test_candidates(line: str, expected: list[str]) -> None:
    assert candidates(line) == expected


def test_the_first_word_is_a_command() -> None:
    assert set(COMMANDS) <= set(candidates("taxiway "))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_tells_its_flags(name: str) -> None:
    assert "--help" in candidates(f"taxiway {name} --") or "--help" in candidates(
        f"taxiway {name} -"
    )


def test_an_option_of_the_folder_beside_the_recipe_is_known_by_its_plugin(folder: Path) -> None:
    (folder / "conf/convert").mkdir(parents=True)
    (folder / "conf/convert/phone.yaml").write_text("# For phones.\ntype: tflite\nbatch: 1\n")
    assert candidates("taxiway run mine.yaml convert=p") == ["convert=phone"]
    assert candidates("taxiway run mine.yaml convert=phone convert.b") == ["convert.batch="]


QUIET = {"bash": "--norc", "zsh": "-f", "fish": "-N"}
"""The flag that keeps a shell from reading the user's own files."""
BASH = """
COMP_LINE={line!r}
COMP_POINT=${{#COMP_LINE}}
_taxiway
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
LBUFFER={line!r}
_taxiway
"""
ZSH_BEFORE = """
compdef() { :; }
_files() { :; }
compadd() { while [[ "$1" != -- ]]; do shift; done; shift; print -l -- "$@"; }
"""
FISH = """
complete -C {line!r}
"""


def completed(shell: str, line: str, folder: Path) -> list[str]:
    """What a real shell makes of the line; skips where the shell is not installed."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    (folder / "bin").mkdir()
    tool = folder / "bin/taxiway"
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -m taxiway "$@"\n')
    tool.chmod(0o755)
    before = ZSH_BEFORE if shell == "zsh" else ""
    after = {"bash": BASH, "zsh": ZSH, "fish": FISH}[shell].format(line=line)
    done = subprocess.run(
        [shell, QUIET[shell], "-c", before + SCRIPTS[shell] + after],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "COMP_WORDBREAKS": " \t\n\"'><=;|&(:",
        },
    )
    return [found.split("\t")[0] for found in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("taxiway li", ["list "]),
        ("taxiway run below/d", ["below/deep.yaml "]),
        ("taxiway run bel", ["below/"]),
        ("taxiway run digits_int8 convert=on", ["onnx "]),
        ("taxiway run digits_int8 evaluate.bas", ["evaluate.baseline="]),
        ("taxiway run digits_int8 evaluate.baseline=", ["none ", "source "]),
    ],
)
def test_bash_replaces_what_follows_the_last_word_break(
    line: str, expected: list[str], folder: Path
) -> None:
    assert completed("bash", line, folder) == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("taxiway li", ["list"]),
        ("taxiway run ", ["below/", "digits_int8", "mine.yaml"]),
        ("taxiway run digits_int8 convert=on", ["convert=onnx"]),
        ("taxiway run digits_int8 evaluate.bas", ["evaluate.baseline="]),
    ],
)
def test_zsh_and_fish_replace_the_word(
    shell: str, line: str, expected: list[str], folder: Path
) -> None:
    found = completed(shell, line, folder)
    assert set(expected) <= set(found)
    if len(expected) == 1:
        assert found == expected


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_the_script_is_printed_and_the_shell_reads_it(shell: str, folder: Path, capsys) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert script == SCRIPTS[shell]
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    (folder / "script").write_text(script)
    subprocess.run([shell, "-n", str(folder / "script")], check=True)


@pytest.mark.parametrize("words", [[], ["tcsh"]], ids=["none", "unknown"])
def test_an_unknown_shell_is_an_error_that_names_the_known(words: list[str], capsys) -> None:
    assert main(["completion", *words]) == 2
    assert "one of: bash, zsh, fish" in capsys.readouterr().err
