"""A figure against its bar, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """One measured figure. value: None where it could not be measured, `why` then says the reason.

    limit: what it may at most be, or must at least be. digits: decimals shown. peer: the same
    figure of Olive 0.13, the closest tool, where it has one.
    """

    what: str
    value: float | None
    bound: Literal["at most", "at least"]
    limit: float
    unit: str = ""
    digits: int = 2
    peer: str = "-"
    detail: str = ""
    why: str = ""

    @property
    def passed(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.limit if self.bound == "at most" else self.value >= self.limit

    def row(self) -> tuple[str, str, str, str, str, str]:
        verdict = {True: "kept", False: "MISSED", None: "not measured"}[self.passed]
        value = self.why if self.value is None else self._number(self.value)
        return (
            self.what,
            value,
            f"{self.bound} {self._number(self.limit)}",
            verdict,
            self.peer,
            self.detail,
        )

    def _number(self, value: float) -> str:
        return f"{value:.{self.digits}f} {self.unit}".rstrip()


HEAD = ("figure", "median", "bar", "", "Olive 0.13", "runs")


def markdown(figures: Iterable[Figure]) -> str:
    rows = [HEAD, *(figure.row() for figure in figures)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEAD))]
    lines = [[cell.ljust(width) for cell, width in zip(r, widths, strict=True)] for r in rows]
    lines.insert(1, ["-" * width for width in widths])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
