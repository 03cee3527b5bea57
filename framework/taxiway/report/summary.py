"""The summary of a run in the terminal: steps, source against result, gates, and where everything lies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from taxiway.execute.result import RunResult, StepResult
from taxiway.plugins.quantity import show_bytes, show_seconds
from taxiway.report.calibration import calibration
from taxiway.report.ledger import ledger
from taxiway.report.proof import conversion
from taxiway.report.steps import label
from taxiway.report.told import told

METRICS = {
    "accuracy": "accuracy",
    "agreement": "agreement with the source",
    "latency_p50": "latency p50",
    "latency_p95": "latency p95",
    "size": "size",
    "peak_memory": "peak memory",
}
_SMALLER_IS_BETTER = ("latency_p50", "latency_p95", "size", "peak_memory")


def show_metric(name: str, value: Any) -> str:
    """A figure with its unit."""
    if value is None:
        return "-"
    if name.startswith(("latency", "load_time")):
        return show_seconds(value)
    if name in ("size", "peak_memory"):
        return show_bytes(value)
    return f"{100 * value:.2f} %" if isinstance(value, float) else str(value)


def relative(path: Path) -> str:
    """A path as short as it can be written from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def table(*columns: str) -> Table:
    """A plain table: left names, right figures."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index == 0 else "right")
    return made


def steps_table(steps: Iterable[StepResult]) -> Table:
    made = table("step", "time", "peak memory", "")
    for step in steps:
        peak = show_bytes(step.peak_memory) if step.peak_memory else "-"
        state = Text("cached", "cyan") if step.cached else Text("done", "green")
        made.add_row(label(step.name), show_seconds(step.seconds), peak, state)
    return made


def metrics_table(result: RunResult) -> Table:
    source, candidate = result.metrics.get("source", {}), result.metrics.get("result", {})
    made = table(
        "",
        f"source ({source.get('runtime', '-')})",
        f"result ({candidate.get('runtime', '-')})",
        "",
    )
    for name, words in METRICS.items():
        before, after = source.get(name), candidate.get(name)
        if after is not None or before is not None:
            made.add_row(
                words,
                show_metric(name, before),
                show_metric(name, after),
                _change(name, before, after),
            )
    return made


def _change(name: str, before: Any, after: Any) -> Text:
    if before is None or after is None:
        return Text("")
    if name in _SMALLER_IS_BETTER:
        if not before or not after:
            return Text("")
        factor, better = (before / after, True) if after <= before else (after / before, False)
        word = "smaller" if name in ("size", "peak_memory") else "faster"
        worse = "larger" if name in ("size", "peak_memory") else "slower"
        return Text(f"{factor:.3g}x {word if better else worse}", "green" if better else "yellow")
    points = 100 * (after - before)
    return Text(f"{points:+.2f} pt", "green" if points >= 0 else "yellow")


def verdicts_table(verdicts: Iterable[dict[str, Any]]) -> Table:
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column("verdict")
    made.add_column("reason", overflow="fold")
    for verdict in verdicts:
        mark = Text("pass", "bold green") if verdict["passed"] else Text("FAIL", "bold red")
        made.add_row(mark, Text(verdict["reason"]))
    return made


def summary(result: RunResult) -> RenderableType:
    """Everything about a run, for a terminal of 80 columns."""
    parts: list[RenderableType] = [steps_table(result.steps)]
    proofs = list(conversion(result))
    if proofs:
        parts += ["", *proofs]
    for section in (calibration, told, ledger):
        lines = list(section(result))
        if lines:
            parts += ["", *lines]
    if result.metrics:
        parts += [
            "",
            Text(f"source against result, {result.samples} labelled samples", "bold"),
            metrics_table(result),
        ]
    if result.verdicts:
        parts += ["", Text("gates", "bold"), verdicts_table(result.verdicts)]
    for warning in result.warnings:
        parts += ["", Text.assemble(("warning  ", "yellow"), warning)]
    where = Table(box=None, pad_edge=False, show_header=False)
    where.add_column(style="dim")
    where.add_column(overflow="fold")
    if result.trusted:
        where.add_row("source", f"trusted by digest {result.trusted[:12]}: its own code was run")
    if result.artifact:
        where.add_row("model", relative(result.artifact))
    if result.bundle:
        where.add_row("bundle", relative(result.bundle))
    where.add_row("report", relative(result.folder / "report.json"))
    style = {"accepted": "bold green", "not accepted": "bold red"}.get(result.status, "bold")
    cached = sum(step.cached for step in result.steps)
    line = Text.assemble(
        (result.name, "bold"),
        ": ",
        (result.status, style),
        f" in {show_seconds(result.seconds)} ({cached} of {len(result.steps)} steps cached)",
    )
    return Group(*parts, "", where, "", line)


def console() -> Console:
    return Console(highlight=False, soft_wrap=False)
