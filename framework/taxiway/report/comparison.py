"""The one table at the end of a sweep: a row per point."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from taxiway.execute.sweep import PointResult, varying
from taxiway.report.summary import show_metric, table

_COLUMNS = {
    "accuracy": "accuracy",
    "agreement": "agree",
    "latency_p50": "p50",
    "size": "size",
}
_STYLES = {"accepted": "green", "not accepted": "red", "failed": "red"}


def comparison(results: list[PointResult]) -> RenderableType:
    """What differs between the points, and what came out."""
    metrics = [name for name in _COLUMNS if any(name in _figures(point) for point in results)]
    headers = [_COLUMNS[name] for name in metrics]
    shown: Table = table("", "point", *headers, "cached", "status")
    shown.columns[1].justify = shown.columns[-1].justify = "left"
    shown.columns[1].overflow = "fold"
    for column in shown.columns[2:]:
        column.no_wrap = True
    for point, differs in zip(results, varying(results), strict=True):
        figures = _figures(point)
        status = point.result.status if point.result else "failed"
        steps = point.result.steps if point.result else ()
        shown.add_row(
            str(point.index),
            "\n".join(_short(text) for text in differs) or "-",
            *(show_metric(name, figures.get(name)) for name in metrics),
            f"{sum(step.cached for step in steps)}/{len(steps)}" if steps else "-",
            Text(status, _STYLES.get(status, "")),
        )
    errors = [Text(f"{point.index}: {point.error}", "red") for point in results if point.error]
    parts: list[RenderableType] = [shown, *([""] if errors else []), *errors]
    return Group(*parts)


def _short(override: str) -> str:
    """`optimize.quantize_static.calibration.samples=32` as `calibration.samples=32`."""
    key, separator, value = override.partition("=")
    return ".".join(key.split(".")[-2:]) + separator + value.replace("\\ ", " ")


def _figures(point: PointResult) -> dict[str, object]:
    return point.result.metrics.get("result", {}) if point.result else {}
