"""The one table at the end of a sweep: a row per point."""

from __future__ import annotations

from collections import Counter

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
    differing = varying(results)
    labels = _labels({text.partition("=")[0] for point in differing for text in point})
    for point, differs in zip(results, differing, strict=True):
        figures = _figures(point)
        status = point.result.status if point.result else "failed"
        steps = point.result.steps if point.result else ()
        shown.add_row(
            str(point.index),
            "\n".join(_short(text, labels) for text in differs) or "-",
            *(show_metric(name, figures.get(name)) for name in metrics),
            f"{sum(step.cached for step in steps)}/{len(steps)}" if steps else "-",
            Text(status, _STYLES.get(status, "")),
        )
    errors = [Text(f"{point.index}: {point.error}", "red") for point in results if point.error]
    parts: list[RenderableType] = [shown, *([""] if errors else []), *errors]
    return Group(*parts)


def _labels(keys: set[str]) -> dict[str, str]:
    """Each key by its last part, by its last two where that is not enough to tell it from another."""
    count = Counter(key.split(".")[-1] for key in keys)
    return {key: ".".join(key.split(".")[-min(count[key.split(".")[-1]], 2) :]) for key in keys}


def _short(override: str, labels: dict[str, str]) -> str:
    """`optimize.quantize_static.calibration.samples=32` as `samples=32`."""
    key, separator, value = override.partition("=")
    return labels[key] + separator + value.replace("\\ ", " ")


def _figures(point: PointResult) -> dict[str, object]:
    return point.result.metrics.get("result", {}) if point.result else {}
