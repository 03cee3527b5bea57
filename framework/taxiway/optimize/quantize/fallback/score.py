"""How often a candidate decides right, and how sure the drop against the input model is."""

from __future__ import annotations

import math
from dataclasses import dataclass

NORMAL_95 = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""
ROUNDING = 1e-9
"""What float arithmetic may add to a share: 0.98 - 0.97 is not exactly 0.01."""


@dataclass(frozen=True)
class Score:
    """One candidate on n rows, paired with the input model on the same rows.

    right: rows it decides right. lost: rows that only the input model has right. won: rows that
    only the candidate has right.
    """

    n: int
    right: int
    lost: int
    won: int

    @property
    def value(self) -> float:
        """The share of right rows."""
        return self.right / self.n

    @property
    def drop(self) -> float:
        """What is lost against the input model, as a share of the rows; negative for a gain."""
        return (self.lost - self.won) / self.n

    def within(self, allowed: float) -> bool:
        """Whether no more than `allowed`, a share, is lost."""
        return self.drop <= allowed + ROUNDING

    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the drop: Newcombe's hybrid score interval for paired proportions.

        Method 10 of R. G. Newcombe, "Improved confidence intervals for the difference between binomial
        proportions based on paired data", Statistics in Medicine 17 (1998): Wilson intervals of both
        shares, joined by their correlation.
        """
        both = self.right - self.won
        neither = self.n - both - self.lost - self.won
        before, after = (both + self.lost) / self.n, (both + self.won) / self.n
        low_before, high_before = wilson(both + self.lost, self.n)
        low_after, high_after = wilson(both + self.won, self.n)
        phi = _correlation(both, self.lost, self.won, neither)
        down = _joined(before - low_before, high_after - after, phi)
        up = _joined(high_before - before, after - low_after, phi)
        return max(self.drop - down, -1.0), min(self.drop + up, 1.0)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (E. B. Wilson, JASA 22, 1927)."""
    share, z = successes / n, NORMAL_95
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max((middle - spread) / scale, 0.0), min((middle + spread) / scale, 1.0)


def _correlation(both: int, lost: int, won: int, neither: int) -> float:
    """Phi of the 2x2 table, with Newcombe's correction for continuity; 0 where a margin is empty."""
    margins = (both + lost) * (won + neither) * (both + won) * (lost + neither)
    if not margins:
        return 0.0
    product = both * neither - lost * won
    n = both + lost + won + neither
    return (max(product - n / 2, 0.0) if product > 0 else product) / math.sqrt(margins)


def _joined(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(one * one - 2 * phi * one * other + other * other, 0.0))
