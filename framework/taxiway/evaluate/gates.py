"""Verdicts: each rule of each gate judged on the figures, with a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from taxiway.errors import StepError
from taxiway.evaluate.limits import (
    Gate,
    Gates,
    RatioGate,
    SizeGate,
    Threshold,
    TimeGate,
    needs_baseline,
    show,
)
from taxiway.plugins.quantity import parse, show_bytes, show_seconds

__all__ = [
    "Gates",
    "RatioGate",
    "SizeGate",
    "TimeGate",
    "Verdict",
    "judge",
    "needs_baseline",
]

ROUNDING = 1e-9
"""Share of a figure that float arithmetic may add: 0.98 - 0.97 is not exactly 0.01."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One rule's outcome. Values are fractions, seconds or bytes.

    threshold: the limit itself; for a rule against the source, what it comes to for this source.
    margin: how far inside the limit the value is; negative outside, zero (which passes) on it.
    """

    metric: str
    rule: str
    value: float
    threshold: float
    baseline: float | None
    margin: float
    n: int
    passed: bool
    reason: str


def judge(gates: Gates, figures: Mapping[str, Any]) -> list[Verdict]:
    """Judge every rule in the order of the metrics.

    figures: an evaluation's result, `{"n": ..., "subjects": {"source": ..., "result": ...}}`.
    Raises StepError where a rule needs a figure that was not measured.
    """
    return [
        _verdict(metric, gate, rule, threshold, figures)
        for metric, gate in gates.active()
        for rule, threshold in gate.rules()
    ]


def _verdict(
    metric: str, gate: Gate, rule: str, threshold: Threshold, figures: Mapping[str, Any]
) -> Verdict:
    value = _figure(figures, "result", metric, rule)
    against_source = rule in ("max_drop", "max_ratio")
    baseline = _figure(figures, "source", metric, rule) if against_source else None
    limit = _limit(rule, threshold, baseline or 0.0)
    margin = value - limit if rule in ("min", "max_drop") else limit - value
    if abs(margin) <= ROUNDING * max(abs(value), abs(limit), abs(baseline or 0.0)):
        margin = 0.0
    n = int(figures["n"])
    samples = f" (n={n})" if isinstance(gate, RatioGate) else ""
    return Verdict(
        metric=metric,
        rule=f"{rule}: {show(threshold)}",
        value=value,
        threshold=limit,
        baseline=baseline,
        margin=margin,
        n=n,
        passed=margin >= 0,
        reason=f"{metric} {_sentence(gate, rule, threshold, value, baseline)}{samples}",
    )


def _figure(figures: Mapping[str, Any], subject: str, metric: str, rule: str) -> float:
    value = figures["subjects"].get(subject, {}).get(metric)
    if value is None:
        raise StepError(
            f"gate {metric}.{rule} needs the {subject}'s {metric}, which was not measured",
            f"remove it with ~evaluate.gates.{metric}, or evaluate with baseline: source",
        )
    return float(value)


def _limit(rule: str, threshold: Threshold, baseline: float) -> float:
    if rule == "max_ratio":
        return float(threshold) * baseline
    quantity = parse(threshold)
    if rule != "max_drop":
        return quantity.value
    return baseline - quantity.value * (baseline if quantity.dimension == "relative" else 1.0)


def _sentence(
    gate: Gate, rule: str, threshold: Threshold, value: float, baseline: float | None
) -> str:
    if rule == "max_ratio":
        assert baseline is not None
        ratio = f"{value / baseline:.3g} times" if baseline else "compared with"
        shown = f"{_show(gate, value)} is {ratio} the source's {_show(gate, baseline)}"
        return f"{shown}; at most {show(threshold)} times allowed"
    other = parse(threshold).value if baseline is None else baseline
    name = {"min": "the minimum", "max": "the maximum"}.get(rule, "the source's")
    gap = abs(value - other)
    if gap <= ROUNDING * max(abs(value), abs(other)):
        text = f"{_show(gate, value)} is {name} {_show(gate, other)}"
    else:
        side = "below" if value < other else "above"
        apart = f"{100 * gap:.3g} pt" if isinstance(gate, RatioGate) else _show(gate, gap)
        if rule == "max_drop" and parse(threshold).dimension == "relative" and baseline:
            apart = f"{100 * gap / baseline:.3g} %rel"
        text = f"{_show(gate, value)} is {apart} {side} {name} {_show(gate, other)}"
    return f"{text}; a drop of {show(threshold)} is allowed" if rule == "max_drop" else text


def _show(gate: Gate, value: float) -> str:
    if isinstance(gate, RatioGate):
        return f"{100 * value:.2f}".removesuffix("0") + " %"
    return show_bytes(value) if isinstance(gate, SizeGate) else show_seconds(value)
