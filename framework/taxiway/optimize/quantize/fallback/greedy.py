"""The fewest operators whose return to higher precision restores the score: greedy, forwards, then backwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from taxiway.optimize.quantize.fallback.ranking import Measures, Names
from taxiway.optimize.quantize.fallback.score import Score

TOP = 6
"""Operators that are measured again, together with those kept already, before one is added."""
SINGLE = 12
"""So many are added one at a time; then twice as many each time."""
BUDGET = 100
"""Candidates that are scored to make the set smaller again."""
CLEAR = 10.0
"""An operator with so many times the noise of the next is taken without another measurement."""
HELPS = 0.75
"""Share of the noise that may be left for an operator to count as one that helps."""
NEAR = 1.25
"""Noise within this factor of the least is no reason to give back more bytes."""


@dataclass(frozen=True)
class Found:
    """The operators to keep, and the score with them."""

    kept: Names
    score: Score


def restore(
    sensitivity: Mapping[str, float],
    weights: Mapping[str, int],
    measures: Measures,
    allowed: float,
    start: Names = frozenset(),
) -> Found:
    """The smallest set found that loses no more than `allowed`, else the one that loses least.

    sensitivity: operator -> noise alone, of all that may be kept. weights: operator -> bytes. start: the
    set to begin with; one that `measures` can score.
    Greedy as mixed-precision searches are, with two changes: an operator is added for the noise that is
    left with it, or, where none of the top helps by itself, for its noise alone (errors that hide each
    other); and whatever a later one made unnecessary is dropped again, in halves first
    (A. Zeller and R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).
    """
    ranked = sorted(sensitivity, key=lambda name: (-sensitivity[name], weights[name], name))
    best = _widen(start, ranked, sensitivity, weights, measures, allowed)
    limit = max(allowed, best.score.drop)
    budget = Budget(BUDGET)
    order = sorted(best.kept, key=lambda name: (sensitivity[name], -weights[name], name))
    smaller = _shrink(best, order, measures, limit, budget)
    return _swap(smaller, ranked, weights, measures, budget)


class Budget:
    """How many more candidates may be scored."""

    def __init__(self, left: int) -> None:
        self._left = left

    def spend(self) -> bool:
        self._left -= 1
        return self._left >= 0


def _widen(
    start: Names,
    ranked: Sequence[str],
    sensitivity: Mapping[str, float],
    weights: Mapping[str, int],
    measures: Measures,
    allowed: float,
) -> Found:
    """Add operators until no more than `allowed` is lost; the best on the way where it never is."""
    first = measures.score(start)
    assert first is not None, "the set to begin with was made before"
    best, kept, more = Found(start, first), start, 2
    remaining = [name for name in ranked if name not in start]
    while remaining and not best.score.within(allowed):
        one_by_one = len(kept) - len(start) < SINGLE
        chosen = (
            [_next(kept, remaining, sensitivity, weights, measures)]
            if one_by_one
            else remaining[:more]
        )
        score = measures.score(kept.union(chosen))
        if score is None and len(chosen) > 1:
            # Such as where nothing would be left to quantize.
            more = len(chosen) // 2
            continue
        remaining = [name for name in remaining if name not in chosen]
        if score is None:
            continue
        if not one_by_one:
            more *= 2
        kept = kept.union(chosen)
        if score.drop < best.score.drop:
            best = Found(kept, score)
    return best


def _next(
    kept: Names,
    remaining: Sequence[str],
    sensitivity: Mapping[str, float],
    weights: Mapping[str, int],
    measures: Measures,
) -> str:
    top = remaining[:TOP]
    if len(top) == 1 or sensitivity[top[0]] > CLEAR * sensitivity[top[1]]:
        return top[0]
    now = measures.noise(kept)
    left = {name: measures.noise(kept | {name}) for name in top}
    known = {name: noise for name, noise in left.items() if noise is not None}
    least = min(known.values(), default=None)
    if now is None or least is None or least > HELPS * now:
        return top[0]
    near = [name for name in top if name in known and known[name] <= NEAR * least]
    return min(near, key=lambda name: (weights[name], known[name], name))


def _shrink(
    found: Found, order: Sequence[str], measures: Measures, limit: float, budget: Budget
) -> Found:
    """Drop members, in the order given, as long as no more than `limit` is lost."""
    length = max(len(found.kept) // 2, 1)
    while found.kept:
        before = found
        members = [name for name in order if name in found.kept]
        for at in range(0, len(members), length):
            rest = found.kept.difference(members[at : at + length])
            if not budget.spend():
                return found
            score = measures.score(rest)
            if score is not None and score.within(limit):
                found = Found(rest, score)
        if length == 1 and found == before:
            return found
        length = max(length // 2, 1)
    return found


def _swap(
    found: Found,
    ranked: Sequence[str],
    weights: Mapping[str, int],
    measures: Measures,
    budget: Budget,
) -> Found:
    """Put a lighter operator of the top in a heavier one's place, where no more is lost with it.

    More that is still allowed is no reason: a set that brings back less does so by chance more often.
    """
    for member in sorted(found.kept, key=lambda name: (-weights[name], name)):
        lighter = [
            name
            for name in ranked[:TOP]
            if name not in found.kept and weights[name] < weights[member]
        ]
        for name in sorted(lighter, key=lambda name: (weights[name], name)):
            if not budget.spend():
                return found
            other = found.kept - {member} | {name}
            score = measures.score(other)
            if score is not None and score.drop <= found.score.drop:
                found = Found(other, score)
                break
    return found
