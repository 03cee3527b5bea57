"""What a fallback tells of itself, as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from taxiway.model import Model
from taxiway.optimize.operators import Operator, Precision
from taxiway.optimize.quantize.fallback.config import Fallback
from taxiway.optimize.quantize.fallback.score import Score
from taxiway.plugins import TEST
from taxiway.plugins.quantity import show_bytes, show_seconds

SHOWN = 10
"""Operators listed with their sensitivity, the most sensitive first."""
NAMED, LONG = 3, 40
"""Operators in the sentence, and letters of their names."""
EXACT = 200.0
"""Decibels shown for scores without any error."""


@dataclass(frozen=True)
class Outcome:
    """A finished search.

    allowed: a share of the rows. kept: operator -> precision. sizes: kept operator -> bytes of the
    model in which it is quantized, too, where that was measured. seconds: of all candidates, those of
    earlier attempts included; resumed: how many measurements were theirs.
    """

    source: Model
    options: Fallback
    allowed: float
    before: Score
    quantized: Score
    kept: Mapping[str, Precision]
    score: Score
    operators: tuple[Operator, ...]
    sensitivity: Mapping[str, float]
    sizes: Mapping[str, int | None]
    samples: Sequence[Mapping[str, Any]]
    candidates: int
    resumed: int
    seconds: float


def decibels(noise: float) -> float:
    """Signal to noise ratio of scores: 10 log10 of their power over the error's."""
    return min(round(-10 * math.log10(noise), 1), EXACT) if noise > 0 else EXACT


def facts(
    outcome: Outcome, quantized: Model, final: Model, latency: Sequence[float]
) -> dict[str, Any]:
    """The record of a fallback: shares as fractions, sizes in bytes, times in seconds, noise in dB.

    latency: of the fully quantized model and of the final one, where that is another.
    """
    score, options = outcome.score, outcome.options
    given_back = final.size - quantized.size
    saved = outcome.source.size - quantized.size
    return {
        "summary": sentence(outcome, given_back, saved, latency),
        "metric": options.metric,
        "split": options.split,
        "n": score.n,
        "input": outcome.before.value,
        "quantized": outcome.quantized.value,
        "final": score.value,
        "allowed_drop": outcome.allowed,
        "drop": score.drop,
        "drop_interval": list(score.interval()),
        "quantized_drop": outcome.quantized.drop,
        "quantized_drop_interval": list(outcome.quantized.interval()),
        "restored": score.within(outcome.allowed),
        "kept": _kept(outcome, final),
        "operators": len(outcome.operators),
        "most_sensitive": _most_sensitive(outcome),
        "size": {
            "input": outcome.source.size,
            "quantized": quantized.size,
            "final": final.size,
        },
        "given_back": given_back,
        "given_back_share": given_back / saved if saved > 0 else None,
        "latency_p50": {"quantized": latency[0], "final": latency[-1]},
        "candidates": outcome.candidates,
        "resumed": outcome.resumed,
        "seconds": round(outcome.seconds, 1),
        "warnings": _warnings(outcome),
    }


def sentence(outcome: Outcome, given_back: int, saved: int, latency: Sequence[float]) -> str:
    """What the fallback did and what that cost, for people.

    given_back, saved: bytes, of the result over the fully quantized model, and of that over the input.
    """
    score, lost = outcome.score, outcome.quantized.drop
    low, high = (100 * end for end in score.interval())
    measured = (
        f"{100 * score.drop:.2f} pt of {outcome.options.metric} lost on {score.n} rows of split "
        f"{outcome.options.split} (95 %: {low:.2f} to {high:.2f} pt)"
    )
    if not outcome.kept:
        return f"{measured}; nothing is kept back"
    kept = [op for op in outcome.operators if op.name in outcome.kept]
    names = ", ".join(
        f"{op.type} {_short(op.name)} in {outcome.kept[op.name]}" for op in kept[:NAMED]
    )
    more = f" and {len(kept) - NAMED} more" if len(kept) > NAMED else ""
    sign = "-" if given_back < 0 else "+"
    share = f" ({100 * given_back / saved:.1f} % of what was saved)" if saved > 0 else ""
    return (
        f"{measured}, {100 * lost:.2f} pt before; {len(kept)} of {len(outcome.operators)} operators "
        f"kept: {names}{more}; {sign}{show_bytes(abs(given_back))}{share}, "
        f"{latency[-1] / latency[0]:.2f}x the latency; {outcome.candidates} candidates in "
        f"{show_seconds(outcome.seconds)}"
    )


def _short(name: str) -> str:
    """Converters join the names of all operators that became one."""
    first = name.split(";")[0]
    return first if len(first) <= LONG else f"...{first[-LONG:]}"


def _kept(outcome: Outcome, final: Model) -> list[dict[str, Any]]:
    return [
        {
            "operator": op.name,
            "type": op.type,
            "precision": outcome.kept[op.name],
            "sensitivity_db": decibels(outcome.sensitivity[op.name]),
            "bytes_given_back": None if size is None else final.size - size,
        }
        for op in outcome.operators
        if op.name in outcome.kept
        for size in [outcome.sizes.get(op.name)]
    ]


def _most_sensitive(outcome: Outcome) -> list[dict[str, Any]]:
    ranked = sorted(outcome.operators, key=lambda op: -outcome.sensitivity.get(op.name, 0.0))
    return [
        {"operator": op.name, "type": op.type, "db": decibels(outcome.sensitivity[op.name])}
        for op in ranked[:SHOWN]
        if op.name in outcome.sensitivity
    ]


def _warnings(outcome: Outcome) -> list[str]:
    n, options, found = outcome.score.n, outcome.options, []
    if options.split == TEST:
        found.append(
            f"the operators were chosen on the '{TEST}' split, which judges the result: its figures are "
            "too good; set fallback.split to another one"
        )
    if outcome.allowed * n < 1:
        found.append(
            f"{options.max_drop} is less than one of {n} rows: not one may be lost; "
            "give the fallback more rows"
        )
    if not outcome.score.within(outcome.allowed):
        found.append(
            f"no set of operators that was tried keeps the drop within {options.max_drop}; "
            "this is the best one found"
        )
    return found
