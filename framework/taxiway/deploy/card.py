"""The model card of a bundle: what the model takes, how good it is, how it came about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from taxiway.model import FORMATS, Model, TensorSpec
from taxiway.plugins.quantity import show_bytes, show_seconds

METRICS = {
    "accuracy": "ratio",
    "agreement": "ratio",
    "latency_p50": "time",
    "latency_p95": "time",
    "size": "bytes",
    "peak_memory": "bytes",
}


def model_card(
    name: str,
    model: Model,
    preprocessing: Mapping[str, Any],
    figures: Mapping[str, Any],
    recipe: Mapping[str, Any],
) -> str:
    """MODEL_CARD.md; sections without content are left out. Names are escaped, so that a tensor or
    a metric called `<script>` or `a|b` stays text.
    """
    description = recipe.get("description")
    parts = [
        f"# {_text(name)}",
        _text(description) if description else "",
        f"Format: {FORMATS.get(model.format, _text(model.format))}, {show_bytes(model.size)}.",
        _licence(recipe.get("licence")),
        "## Inputs and outputs",
        _table(
            ("", "name", "type", "shape", "quantization"),
            [
                *(("input", *_tensor(spec)) for spec in model.signature.inputs),
                *(("output", *_tensor(spec)) for spec in model.signature.outputs),
            ],
        ),
        f"Preprocessing: {_text(json.dumps(dict(preprocessing), sort_keys=True))} "
        "(model input = scale * raw + offset).",
        *_evaluation(figures),
        "## Use",
        "    pip install -r requirements.txt\n"
        "    python run.py              # checks the golden samples on this machine\n"
        "    python run.py SAMPLE.npy   # a raw sample",
        *_steps(recipe.get("steps") or ()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _licence(licence: str | None) -> str:
    return f"Licence of the model it was made from: {_text(licence)}." if licence else ""


def _tensor(spec: TensorSpec) -> tuple[str, ...]:
    quantized = f"{spec.scale:.6g} * (q - {spec.zero_point})" if spec.quantized else ""
    return spec.name, spec.dtype, ", ".join(map(str, spec.shape)), quantized


def _evaluation(figures: Mapping[str, Any]) -> list[str]:
    subjects = figures.get("subjects") or {}
    if not subjects:
        return []
    metrics = list(dict.fromkeys(metric for subject in subjects.values() for metric in subject))
    rows = [
        (metric, *(_value(metric, subject.get(metric)) for subject in subjects.values()))
        for metric in metrics
    ]
    parts = [
        "## Evaluation",
        f"Measured on {figures.get('n')} samples; latency for one sample on one thread.",
        _table(("", *subjects), rows),
    ]
    verdicts: Sequence[Mapping[str, Any]] = figures.get("verdicts") or ()
    if verdicts:
        judged = [
            (v["metric"], v["rule"], "passed" if v["passed"] else "FAILED", v["reason"])
            for v in verdicts
        ]
        parts += ["## Gates", _table(("metric", "rule", "verdict", "why"), judged)]
    return parts


def _value(metric: str, value: Any) -> str:
    if value is None:
        return ""
    kind = METRICS.get(metric)
    if kind == "ratio":
        return f"{100 * value:.2f} %"
    if kind == "time":
        return show_seconds(value)
    return show_bytes(value) if kind == "bytes" else str(value)


def _steps(steps: Iterable[Mapping[str, Any]]) -> list[str]:
    rows = [
        (step.get("name"), step.get("plugin"), json.dumps(step.get("options"), sort_keys=True))
        for step in steps
    ]
    return ["## Recipe", _table(("step", "plugin", "options"), rows)] if rows else []


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_text(cell) for cell in line)} |" for line in lines)


def _text(value: Any) -> str:
    """Plain text for Markdown: one line, nothing that starts HTML, a link, code or a column."""
    return re.sub(r"([\\`*\[\]<>|&#])", r"\\\1", " ".join(str(value).split()))
