"""How much each operator alone disturbs the scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from taxiway.optimize.operators import Operator
from taxiway.optimize.quantize.fallback.score import Score

Names = frozenset[str]

SINGLE = 150
"""Up to so many operators are measured one by one."""
BLOCKS = 64
"""More than that are measured in so many blocks of neighbours first."""
OPENED = 8
"""Of the blocks, so many with the most noise are measured operator by operator."""


class Measures(Protocol):
    """What a search asks of candidates. Noise is the error's power over the scores' power."""

    def alone(self, names: Names) -> float | None: ...

    def noise(self, kept: Names) -> float | None: ...

    def score(self, kept: Names) -> Score | None: ...


def sensitivities(
    operators: Sequence[Operator],
    measures: Measures,
    progress: Callable[[int, int], None],
) -> dict[str, float]:
    """Operator name -> noise of the model in which only it is quantized.

    That finds operators whose errors hide each other, such as two on both sides of a tensor with a wide
    range, which neither's return to float would show. Noise of several small errors adds up nearly
    (Z. Dong et al., "HAWQ-V2", NeurIPS 2020, assumes the same for its sensitivities).

    Of more than `SINGLE` operators, neighbours are measured in blocks; in a block that is not opened,
    each operator gets an equal share of its noise.
    """
    total = len(operators)
    if total <= SINGLE:
        return _one_by_one(operators, measures, lambda done: progress(done, total))
    length = -(-total // BLOCKS)
    blocks = [operators[at : at + length] for at in range(0, total, length)]
    work = len(blocks) + OPENED * length
    noise: list[float] = []
    for number, block in enumerate(blocks):
        noise.append(measures.alone(frozenset(op.name for op in block)) or 0.0)
        progress(number + 1, work)
    shares = {
        op.name: level / len(block)
        for block, level in zip(blocks, noise, strict=True)
        for op in block
    }
    worst = sorted(range(len(blocks)), key=lambda at: -noise[at])[:OPENED]
    opened = [op for at in sorted(worst) for op in blocks[at]]
    done = len(blocks)
    return shares | _one_by_one(opened, measures, lambda more: progress(done + more, work))


def _one_by_one(
    operators: Sequence[Operator], measures: Measures, progress: Callable[[int], None]
) -> dict[str, float]:
    alone: dict[str, float | None] = {}
    for op in operators:
        alone[op.name] = measures.alone(frozenset({op.name}))
        progress(len(alone))
    known = {name: noise for name, noise in alone.items() if noise is not None}
    return {
        op.name: known[op.name] if op.name in known else _beside(op.name, known, measures)
        for op in operators
    }


def _beside(name: str, known: dict[str, float], measures: Measures) -> float:
    """Noise that an operator adds which no quantizer takes alone, such as one without weights: beside
    the operator with the least noise, or else what its return to float takes away from the whole."""
    if known:
        quietest = min(known, key=lambda other: (known[other], other))
        both = measures.alone(frozenset({name, quietest}))
        return max((both or 0.0) - known[quietest], 0.0)
    whole, without = measures.noise(frozenset()), measures.noise(frozenset({name}))
    return 0.0 if whole is None or without is None else max(whole - without, 0.0)
