"""The fewest bytes for operators that must not be quantized: activations stay float, weights need not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from taxiway.optimize.quantize.fallback.greedy import Found, restore
from taxiway.optimize.quantize.fallback.ranking import Measures
from taxiway.optimize.quantize.fallback.score import Score
from taxiway.optimize.quantize.operators import Precision

LADDER: tuple[Precision, ...] = ("int8_weights", "float16")
"""From the fewest bytes up; what none of these restores stays float32."""
TRIED = 32
"""Operators that are tried one by one, the heaviest first."""

NOISIER = 2.0
"""How much the noise may grow. A score on few rows may be good by chance; the noise shows what 8 bits cost."""


class Assignments(Protocol):
    """What is asked of candidates whose operators have precisions of their own."""

    def score_in(self, own: Mapping[str, Precision]) -> Score | None: ...

    def noise_in(self, own: Mapping[str, Precision]) -> float | None: ...

    def size_in(self, own: Mapping[str, Precision]) -> int | None: ...


def cheapen(
    found: Found, weights: Mapping[str, int], measures: Assignments, limit: float
) -> tuple[dict[str, Precision], Score]:
    """Kept operator -> precision, and the score with them; no more than `limit` is lost.

    weights: operator -> bytes. Most of what a fallback repairs are ranges of activations, which say
    nothing against 8 bits for the weights.
    """
    own: dict[str, Precision] = dict.fromkeys(sorted(found.kept), "float32")
    score = found.score
    noise = measures.noise_in(own)
    loudest = 0.0 if noise is None else NOISIER * noise
    heavy = sorted((n for n in own if weights[n]), key=lambda name: (-weights[name], name))
    together = own | dict.fromkeys(heavy, LADDER[0])
    new = _better(together, own, measures, limit, loudest) if heavy else None
    if new is not None:
        return together, new
    for name in heavy[:TRIED]:
        for precision in LADDER:
            other = own | {name: precision}
            new = _better(other, own, measures, limit, loudest)
            if new is not None:
                own, score = other, new
                break
    return own, score


def instead(
    found: Found,
    sensitivity: Mapping[str, float],
    weights: Mapping[str, int],
    small: Measures,
    limit: float,
) -> Found | None:
    """More operators in the place of heavy ones in float: all kept ones with 8-bit weights, and others
    added until no more than `limit` is lost; None where that does not restore it.

    small: measures candidates whose kept operators have 8-bit weights.
    """
    if small.score(found.kept) is None:
        return None
    more = restore(sensitivity, weights, small, limit, start=found.kept)
    return more if more.score.within(limit) else None


def _better(
    new: Mapping[str, Precision],
    old: Mapping[str, Precision],
    measures: Assignments,
    limit: float,
    loudest: float,
) -> Score | None:
    """The score of `new`, where score and noise are good enough and the file is smaller."""
    score = measures.score_in(new)
    if score is None or not score.within(limit):
        return None
    noise = measures.noise_in(new)
    if noise is None or noise > loudest:
        return None
    size, before = measures.size_in(new), measures.size_in(old)
    return score if size is not None and before is not None and size < before else None
