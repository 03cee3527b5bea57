"""The order of passes: what undoes an earlier one is refused, what weakens it is warned of."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from types import MappingProxyType

import pytest

from taxiway.execute.order import clashes
from taxiway.execute.route import Leg
from taxiway.plugins import Config, Pass, Plugin


class _Pass(Pass):
    Config = Config
    accepts = frozenset({"onnx"})


class Sparse(_Pass):
    establishes = frozenset({"pruned"})


class Sparser(_Pass):
    establishes = frozenset({"pruned"})
    weakens = MappingProxyType({"pruned": "it prunes again"})


class Clustered(_Pass):
    establishes = frozenset({"clustered", "pruned"})


class Student(_Pass):
    undoes = MappingProxyType({"pruned": "it is another network", "clustered": "so it is"})
    weakens = MappingProxyType({"pruned": "never said: an error goes before"})


class Anything(_Pass):
    pass


def _leg(kind: type[Pass], name: str) -> Leg:
    entry = EntryPoint(name, f"{__name__}:{kind.__qualname__}", "taxiway.optimize")
    plugin = Plugin("optimize", name, entry)
    plugin.__dict__["step"] = kind
    return Leg(plugin, name, "onnx")


@pytest.mark.parametrize(
    ("passes", "found"),
    [
        ([], []),
        ([Sparse], []),
        ([Student, Sparse], []),
        ([Sparse, Anything], []),
        ([Sparse, Student], [("undoes", "0", "1")]),
        ([Sparse, Anything, Student], [("undoes", "0", "2")]),
        ([Sparse, Sparser], [("weakens", "0", "1")]),
        ([Clustered, Student], [("undoes", "0", "1"), ("undoes", "0", "1")]),
        ([Sparse, Clustered, Student], [("undoes", "0", "2")] + 2 * [("undoes", "1", "2")]),
    ],
    ids=[
        "none",
        "one",
        "student first",
        "no matter",
        "undone",
        "undone later",
        "weakened",
        "two properties",
        "two passes",
    ],
)
def test_clashes(passes: list[type[Pass]], found: list[tuple[str, str, str]]) -> None:
    legs = [_leg(kind, str(place)) for place, kind in enumerate(passes)]
    assert [(c.kind, c.earlier, c.later) for c in clashes(legs)] == found


def test_a_clash_names_both_passes_and_the_reason() -> None:
    (clash,) = clashes([_leg(Sparse, "zeros"), _leg(Student, "student")])
    assert clash.message == "pass 'student' would undo 'zeros' before it: it is another network"
    assert "put 'student' before 'zeros'" in clash.hint
    assert "'~optimize.student'" in clash.hint
