"""The ways to convert: the next one is taken where one fails or is not equal, and that is remembered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONVERTERS = """
import shutil

import onnx
from taxiway.convert.onnx import OnnxConfig
from taxiway.errors import StepError
from taxiway.model.inspect import describe
from taxiway.plugins import Converter


class Again(Converter):
    '''Writes an ONNX model once more.'''

    Config = OnnxConfig
    accepts = frozenset({"onnx"})
    produces = "onnx"

    def run(self, model, options, context):
        target = context.workdir / "model.onnx"
        self.write(model.path, target)
        return describe(target, "onnx")


class Fails(Again):
    cost = 0.1

    def write(self, source, target):
        raise StepError("it has no operator for that")


class Dies(Again):
    cost = 0.1

    def write(self, source, target):
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)


class Changes(Again):
    '''Drops the bias.'''
    cost = 0.2

    def write(self, source, target):
        model = onnx.load(source)
        (bias,) = [t for t in model.graph.initializer if t.name == "bias"]
        bias.CopyFrom(onnx.numpy_helper.from_array(0 * onnx.numpy_helper.to_array(bias), "bias"))
        onnx.save(model, target)


class Copies(Again):
    cost = 0.3

    def write(self, source, target):
        shutil.copyfile(source, target)
"""
Taxiway = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def taxiway(onnx_recipe: Path, tmp_path: Path) -> Taxiway:
    """Runs the command line with the converters of these names installed, on a recipe to ONNX."""
    text = onnx_recipe.read_text()
    text = text.replace("  - optimize: [quantize_static]\n", "  - convert: onnx\n")
    text = text[: text.index("optimize:\n")] + text[text.index("evaluate:\n  samples") :]
    onnx_recipe.write_text(text)

    def call(converters: str, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        site = tmp_path / f"site {converters}"
        metadata = site / "ways-1.0.dist-info"
        metadata.mkdir(parents=True, exist_ok=True)
        (site / "ways.py").write_text(CONVERTERS)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ways\nVersion: 1.0\n")
        lines = [f"{name} = ways:{name.capitalize()}" for name in converters.split()]
        entries = "\n".join(["[taxiway.converter]", *lines, ""])
        (metadata / "entry_points.txt").write_text(entries)
        return subprocess.run(
            [sys.executable, "-m", "taxiway", command, str(onnx_recipe), *words],
            env={**os.environ, "PYTHONPATH": str(site), "TAXIWAY_STORE": str(tmp_path / "store")},
            cwd=tmp_path,
            text=True,
            capture_output=True,
        )

    return call


def report(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("converters", "step", "reason"),
    [
        ("fails copies", "convert", "it has no operator for that"),
        ("dies copies", "convert", "the worker died"),
        ("changes copies", "parity.convert", "did not give the same model"),
    ],
    ids=["fails", "crashes", "not equal"],
)
def test_the_next_way_is_taken_and_the_report_says_why(
    converters: str, step: str, reason: str, taxiway: Taxiway
) -> None:
    result = report(taxiway(converters, "run", "--json"))
    (attempt,) = result["failed_ways"]
    assert attempt["step"] == step
    assert reason in attempt["reason"]
    assert result["parity"]["convert"]["equal"]
    assert result["status"] == "accepted"


def test_a_known_failure_is_not_met_again(taxiway: Taxiway) -> None:
    first = report(taxiway("fails copies", "run", "--json"))
    again = report(taxiway("fails copies", "run", "--json"))
    assert all(step["cached"] for step in again["steps"])
    assert again["failed_ways"] == first["failed_ways"]
    shown = taxiway("fails copies", "plan").stdout
    assert "convert: it has no operator for that" in shown


def test_a_locked_run_takes_the_way_of_the_lock(taxiway: Taxiway, tmp_path: Path) -> None:
    assert taxiway("changes copies", "run", "--lock").returncode == 0
    again = taxiway("changes copies", "run", "--locked", "--json", "--store", str(tmp_path / "new"))
    assert [step["name"] for step in report(again)["steps"]][:3] == [
        "source",
        "convert",
        "parity.convert",
    ]


# Taxiway's own converter cannot go back that far with this model; the others do not look at it.
TOO_OLD = "convert.opset=7"


def test_where_every_way_fails_each_is_named(taxiway: Taxiway) -> None:
    result = taxiway("fails changes", "run", TOO_OLD)
    assert result.returncode == 1
    assert "every way to convert failed" in result.stderr
    assert "at convert: it has no operator for that" in result.stderr
    assert "did not give the same model" in result.stderr
    assert "opset 18 cannot become 7" in result.stderr


def test_the_only_way_says_its_own_reason(taxiway: Taxiway) -> None:
    result = taxiway("", "run", TOO_OLD)
    assert result.returncode == 1
    assert "opset 18 cannot become 7" in result.stderr
    assert "every way" not in result.stderr


def test_a_model_that_changed_leaves_its_evidence_in_the_run(
    taxiway: Taxiway, tmp_path: Path
) -> None:
    result = taxiway("changes", "run", TOO_OLD)
    assert "the first operator that" in result.stderr
    (script,) = tmp_path.glob("runs/*/*/parity/convert/**/reproduce.py")
    done = subprocess.run([sys.executable, script], cwd=script.parent, capture_output=True)
    assert done.returncode == 1
