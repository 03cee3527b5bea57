"""Whether the passes of a recipe may follow each other: none undoes what an earlier one established."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from taxiway.execute.route import Leg
from taxiway.plugins import Pass, Property


@dataclass(frozen=True)
class Clash:
    """`later` spoils what `earlier` established. kind: `undoes` is an error, `weakens` a warning."""

    kind: Literal["undoes", "weakens"]
    earlier: str
    later: str
    spoiled: Property
    why: str

    @property
    def message(self) -> str:
        verb = "would undo" if self.kind == "undoes" else "weakens"
        return f"pass '{self.later}' {verb} '{self.earlier}' before it: {self.why}"

    @property
    def hint(self) -> str:
        return (
            f"put '{self.later}' before '{self.earlier}' in the defaults list, "
            f"or drop one of them: '~optimize.{self.later}'"
        )


def clashes(legs: Sequence[Leg]) -> Iterator[Clash]:
    """Every pass against the passes before it, in their order; conversions keep what they get."""
    before: list[tuple[str, Pass]] = []
    for leg in legs:
        if leg.plugin.section != "optimize" or leg.name is None:
            continue
        later: Pass = leg.plugin.implementation(leg.format)
        for name, earlier in before:
            yield from between(name, earlier, leg.name, later)
        before.append((leg.name, later))


def between(earlier: str, first: Pass, later: str, second: Pass) -> Iterator[Clash]:
    """What the second pass spoils of the first one; an error goes before warnings."""
    for spoiled in sorted(first.establishes):
        if spoiled in second.undoes:
            yield Clash("undoes", earlier, later, spoiled, second.undoes[spoiled])
        elif spoiled in second.weakens:
            yield Clash("weakens", earlier, later, spoiled, second.weakens[spoiled])
