"""The ledger of a run in the terminal: a row per model, and what to think of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, pairwise
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from taxiway.execute.result import RunResult
from taxiway.plugins.quantity import show_bytes, show_seconds

_RUNTIMES = {"ONNX Runtime": "ORT", "TensorFlow": "TF", "scikit-learn": "sklearn"}


def ledger(result: RunResult) -> Iterator[RenderableType]:
    """The part of the summary that says what each pass bought; nothing where there was no pass."""
    if not result.ledger:
        return
    yield Text("what each step bought", "bold")
    yield _rows(result.ledger["rows"])
    for warning in result.ledger["warnings"]:
        yield Text.assemble(("warning  ", "yellow"), warning)


def _rows(rows: list[dict[str, Any]]) -> Table:
    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    made.add_column("step", overflow="fold")
    for name in ("size", "gzip", "zeros", "p50", "", "accuracy %", "agree"):
        made.add_column(name, justify="right", no_wrap=True)
    for before, row in pairwise(chain([None], rows)):
        assert row is not None
        made.add_row(
            row["step"].removeprefix("optimize."),
            show_bytes(row["size"]),
            show_bytes(row["compressed"]),
            f"{row['sparsity']:.0%}" if (row["sparsity"] or 0) >= 0.05 else "-",
            show_seconds(row["latency_p50"]) if row["latency_p50"] is not None else "-",
            _pace(before, row),
            _accuracy(row),
            f"{100 * row['agreement']:.1f}" if row.get("agreement") is not None else "-",
        )
    return made


def _pace(before: Mapping[str, Any] | None, row: Mapping[str, Any]) -> Text:
    """How much faster than the row before; the runtime where it is another one."""
    if before is None or before["runtime"] != row["runtime"]:
        return Text(_RUNTIMES.get(row["runtime"], row["runtime"]), "dim")
    old, new = before["latency_p50"], row["latency_p50"]
    if not old or not new:
        return Text("")
    return Text(f"{old / new:.2f}x", "green" if old >= new else "yellow")


def _accuracy(row: Mapping[str, Any]) -> str:
    if row.get("accuracy") is None:
        return "-"
    low, high = row["accuracy_interval"]
    return f"{100 * row['accuracy']:.2f} \u00b1 {50 * (high - low):.1f}"
