"""Figures that are no times: mistakes caught, accuracy kept, length of a recipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from figure import Figure
from measure import measure, taxiway

ROOT = Path(__file__).resolve().parents[1]


def quality(folder: Path) -> Iterator[Figure]:
    yield _mistakes(folder / "mistakes.xml")
    yield _keyword_spotting(folder)
    lines = (ROOT / "recipes" / "digits_int8.yaml").read_text().splitlines()
    count = sum(1 for line in lines if line.strip() and not line.lstrip().startswith("#"))
    peer = "100 keys, 37 lines of Python"
    yield Figure("YAML lines of digits_int8", count, "at most", 30, "", 0, peer)


def _mistakes(report: Path) -> Figure:
    """Planted mistakes in recipes that are caught before the run, at their line."""
    tests = ROOT / "tests" / "recipes" / "test_mistakes.py"
    # A mistake that is missed fails its test; the count says so.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", str(tests)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    cases = [
        case
        for case in ElementTree.parse(report).iter("testcase")
        if "without_mistakes" not in case.attrib["name"]
    ]
    if not cases or done.returncode not in (0, 1):
        raise RuntimeError(f"the mistakes were not tried:\n{done.stdout[-2000:]}")
    caught = sum(1 for case in cases if len(case) == 0)
    what = f"recipe mistakes caught, of {len(cases)}"
    return Figure(what, caught, "at least", len(cases), "", 0, "5 of 11")


def _keyword_spotting(folder: Path) -> Figure:
    what = "accuracy of kws_int8 on 800 samples (float: 90.5 %)"
    if not os.environ.get("TAXIWAY_MLPERF_TINY"):
        why = "TAXIWAY_MLPERF_TINY is not set"
        return Figure(what, None, "at least", 90.2, "%", 1, why=why)
    words = ("run", "mlperf_tiny/kws_int8", "--store", folder / "kws_store")
    measure(taxiway(*words, "--output", folder / "kws"), folder)
    (report,) = (folder / "kws").glob("*/*/report.json")
    accuracy = json.loads(report.read_text())["metrics"]["result"]["accuracy"]
    return Figure(what, 100 * accuracy, "at least", 90.2, "%", 1)
