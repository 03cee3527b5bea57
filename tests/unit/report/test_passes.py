"""What a run says of its passes: the ledger, sentences of steps, and warnings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from taxiway.execute.result import RunResult
from taxiway.report.ledger import ledger
from taxiway.report.summary import summary
from taxiway.report.told import told

SOURCE = {
    "step": "source",
    "plugin": "keras",
    "format": "keras",
    "runtime": "TensorFlow",
    "size": 100 * 1024,
    "compressed": 90 * 1024,
    "parameters": 25_000,
    "sparsity": 0.0,
    "n": 500,
    "accuracy": 0.98,
    "accuracy_interval": [0.965, 0.989],
    "agreement": 1.0,
    "latency_p50": 2e-3,
    "latency_quartiles": [1.9e-3, 2.1e-3],
}
CONVERTED = {
    **SOURCE,
    "step": "convert",
    "format": "onnx",
    "runtime": "ONNX Runtime",
    "latency_p50": 40e-6,
}
PRUNED = {
    **CONVERTED,
    "step": "optimize.prune_magnitude",
    "sparsity": 0.8,
    "compressed": 30 * 1024,
    "latency_p50": 20e-6,
    "agreement": 0.995,
}
BARE = {
    **dict.fromkeys(("parameters", "sparsity", "latency_p50", "latency_quartiles")),
    "step": "optimize.ort_format",
    "format": "ort",
    "runtime": "ONNX Runtime",
    "size": 10,
    "compressed": 9,
}


def run(**more: Any) -> RunResult:
    return RunResult(
        name="r", status="no gates", folder=Path("runs/r"), seconds=1.0, steps=(), **more
    )


def shown(*parts: Any) -> list[str]:
    console = Console(width=80, record=True)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return captured.get().splitlines()


def test_a_row_for_every_model() -> None:
    rows = [SOURCE, CONVERTED, PRUNED, BARE]
    lines = shown(*ledger(run(ledger={"rows": rows, "warnings": ["too slow"]})))
    assert [line.split()[0] for line in lines[2:6]] == [
        *("source", "convert", "prune_magnitude", "ort_format")
    ]
    assert "2 ms" in lines[2] and "TF" in lines[2] and "98.00 ± 1.2" in lines[2]
    assert "40 us" in lines[3] and "ORT" in lines[3]
    assert "80%" in lines[4] and "2.00x" in lines[4] and "99.5" in lines[4]
    assert lines[5].split()[1:] == ["10", "B", "9", "B", "-", "-", "-", "-"]
    assert lines[6] == "warning  too slow"
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        ({}, []),
        ({"optimize.p": {"training": {"epochs": []}}}, []),
        (
            {
                "optimize.p": {
                    "training": {"summary": "3 epochs"},
                    "other": {"summary": "[n, 8] is fine"},
                }
            },
            ["what the steps say", "training  p: 3 epochs", "other     p: [n, 8] is fine"],
        ),
        ({"optimize.p": {"fallback": {"warnings": ["careful"]}}}, ["warning  careful"]),
    ],
    ids=["nothing", "no sentence", "two sentences", "a warning"],
)
def test_sentences(facts: dict[str, Any], lines: list[str]) -> None:
    assert [line.rstrip() for line in shown(*told(run(told=facts)))] == lines


def test_warnings_of_the_plan_are_in_the_summary() -> None:
    text = "\n".join(shown(summary(run(warnings=("pass 'b' weakens 'a' before it: so it is",)))))
    assert "warning  pass 'b' weakens 'a' before it: so it is" in text
    assert "what each step bought" not in text
