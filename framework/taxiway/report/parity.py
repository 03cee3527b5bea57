"""A comparison of two models in the terminal: outputs, verdict, and where they part."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from taxiway.model import FORMATS
from taxiway.report.summary import relative, table

if TYPE_CHECKING:
    from taxiway.execute.compare_models import Comparison


def comparison(found: Comparison, reference: str, candidate: str) -> RenderableType:
    """Everything about a comparison, for a terminal of 80 columns."""
    figures = found.figures
    parts: list[RenderableType] = [_subjects(found, reference, candidate), ""]
    if figures["outputs"]:
        parts += [outputs_table(figures["outputs"]), ""]
    if figures["divergence"]:
        parts += [divergence_table(figures["divergence"]), ""]
    equal = Text("equal", "bold green") if found.equal else Text("NOT EQUAL", "bold red")
    return Group(*parts, Text.assemble(equal, f": {figures['reason']}"))


def _subjects(found: Comparison, reference: str, candidate: str) -> Table:
    figures = found.figures
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="dim")
    made.add_column(overflow="fold")
    made.add_row("reference", f"{reference}, {FORMATS[found.reference.format]}")
    made.add_row("candidate", f"{candidate}, {FORMATS[found.candidate.format]}")
    if figures["n"]:
        kind = "random" if figures["random"] else "of the data"
        made.add_row("samples", f"{figures['n']} {kind}")
    made.add_row("precision", figures["precision"])
    return made


def outputs_table(outputs: list[Mapping[str, Any]]) -> Table:
    """One row an output; errors relative to the output's scale."""
    agreed = any("agreement" in output for output in outputs)
    columns = ["output", "error", "tolerance", "noise", "max abs", *(["same class"] * agreed), ""]
    made = table(*columns)
    for output in outputs:
        row = [_names(output)]
        row += [_figure(output[key]) for key in ("error", "tolerance", "noise", "max_abs")]
        if agreed:
            share = output.get("agreement")
            row.append("-" if share is None else f"{100 * share:.4g} %")
        mark = Text("equal", "green") if output["equal"] else Text("differs", "bold red")
        made.add_row(*row, mark)
    return made


def _names(output: Mapping[str, Any]) -> str:
    name, reference = output["name"], output["reference_name"]
    return str(name) if name == reference else f"{name} (for {reference})"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def divergence_table(found: Mapping[str, Any]) -> Table:
    """The first operator that introduces an error, and what it got."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    made.add_row(
        "first diverging operator", Text(f"{found['op_type']} '{found['operator']}'", "bold")
    )
    if found["reference_operator"]:
        made.add_row(
            "its counterpart", f"{found['reference_type']} '{found['reference_operator']}'"
        )
    if found["introduced"] is not None:
        made.add_row("error it introduces", _figure(found["introduced"]))
    made.add_row("error it inherits", _figure(found["inherited"]))
    for given in found["inputs"]:
        made.add_row(f"input {given['tensor']}", _range(given["range"]))
    made.add_row("expected", _range(found["expected"]))
    made.add_row("found", _range(found["actual"]))
    if found["region"]:
        made.add_row("judged together with", ", ".join(found["region"]))
    return made


def reproduce(found: Comparison) -> str | None:
    """The command that runs the one-operator reproducer; None where there is none."""
    divergence = found.figures["divergence"]
    if not divergence or not divergence["reproducer"]:
        return None
    script = found.folder / "reproducer" / divergence["reproducer"] / "reproduce.py"
    return f"python {shlex.quote(relative(script))}"


def _range(found: Any) -> str:
    if found is None:
        return "-"
    return " to ".join("-" if end is None else f"{end:.4g}" for end in found)
