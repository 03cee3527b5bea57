"""How often a candidate decides right, and how sure the drop against the input model is."""

from __future__ import annotations

from dataclasses import dataclass

from taxiway.model.intervals import paired_difference

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
        """The 95 % interval of the drop, paired by row."""
        both = self.right - self.won
        neither = self.n - both - self.lost - self.won
        return paired_difference(both, self.lost, self.won, neither)
