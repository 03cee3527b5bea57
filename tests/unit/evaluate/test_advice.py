"""The ledger warns where a pass did not buy what it is made for, and is quiet where it did."""

from __future__ import annotations

from typing import Any

import pytest

from taxiway.evaluate.advice import warnings

BEFORE = {
    "step": "convert",
    "format": "onnx",
    "runtime": "ONNX Runtime",
    "size": 1000,
    "sparsity": 0.01,
    "latency_p50": 1e-3,
}
INSTEAD = {"optimize.p": "try something else", "optimize.plain": None}


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({}, []),
        ({"latency_p50": 0.5e-3, "size": 300}, []),
        ({"latency_p50": 1.1e-3}, []),
        (
            {"latency_p50": 9e-3},
            [
                "p made this model 9x slower on ONNX Runtime on this CPU; try something else",
            ],
        ),
        (
            {"sparsity": 0.8},
            [
                "p: 80% zeros are no gain in time on ONNX Runtime on this CPU; try something else",
            ],
        ),
        ({"sparsity": 0.8, "latency_p50": 0.8e-3}, []),
        (
            {"sparsity": 0.8, "latency_p50": 2e-3},
            ["p made this model 2x slower on ONNX Runtime on this CPU; try something else"],
        ),
        ({"size": 1500}, ["p made the file 1.5x larger"]),
        ({"size": 1500, "format": "tflite", "runtime": "LiteRT", "latency_p50": 9.0}, []),
        ({"latency_p50": None}, []),
        ({"latency_p50": 9e-3, "latency_quartiles": [0.9e-3, 20e-3]}, []),
        (
            {"step": "optimize.plain", "latency_p50": 3e-3},
            ["plain made this model 3x slower on ONNX Runtime on this CPU"],
        ),
        ({"step": "convert", "latency_p50": 9e-3, "size": 9000}, []),
    ],
    ids=[
        "the same",
        "bought time and bytes",
        "within noise",
        "slower",
        "zeros without gain",
        "zeros with gain",
        "zeros and slower",
        "larger",
        "another runtime",
        "not timed",
        "on a busy machine",
        "no advice",
        "a conversion",
    ],
)
def test_warnings(after: dict[str, Any], said: list[str]) -> None:
    row = {**BEFORE, "step": "optimize.p", **after}
    for timed in (before := dict(BEFORE), row):
        p50 = timed["latency_p50"]
        timed.setdefault("latency_quartiles", p50 and [0.95 * p50, 1.05 * p50])
    assert list(warnings(before, row, INSTEAD)) == said
