"""The one table at the end of a sweep: a row per point."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from taxiway.execute.sweep import PointResult, varying
from taxiway.report.summary import METRICS, show_metric, table

_STYLES = {"accepted": "green", "not accepted": "red", "failed": "red"}


def comparison(results: list[PointResult]) -> RenderableType:
    """What differs, what came out, and where the first point's figures come from."""
    metrics = [name for name in METRICS if any(name in _figures(point) for point in results)]
    shown: Table = table(
        "", "point", *(METRICS[name].split(" with")[0] for name in metrics), "cached", ""
    )
    shown.columns[1].justify = "left"
    for point, differs in zip(results, varying(results), strict=True):
        figures = _figures(point)
        status = point.result.status if point.result else "failed"
        steps = point.result.steps if point.result else ()
        shown.add_row(
            str(point.index),
            "\n".join(differs) or "-",
            *(show_metric(name, figures.get(name)) for name in metrics),
            f"{sum(step.cached for step in steps)}/{len(steps)}" if steps else "-",
            Text(status, _STYLES.get(status, "")),
        )
    errors = [Text(f"{point.index}: {point.error}", "red") for point in results if point.error]
    parts: list[RenderableType] = [shown, *([""] if errors else []), *errors]
    return Group(*parts)


def _figures(point: PointResult) -> dict[str, object]:
    return point.result.metrics.get("result", {}) if point.result else {}
