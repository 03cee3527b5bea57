"""The list of repairs, how it is applied, and its page."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from onnx import TensorProto, helper

from taxiway.convert.repairs import REPAIRS, apply_repairs, of_stage
from taxiway.convert.repairs.repair import Stage
from taxiway.plugins import Note

ROOT = Path(__file__).parents[4]


def test_names_are_unique_and_each_says_what_and_why() -> None:
    assert len({repair.name for repair in REPAIRS}) == len(REPAIRS)
    for repair in REPAIRS:
        assert len(repair.about) > 40 and repair.about.endswith(".")
        assert repair.source


def test_each_has_a_test_module_of_its_own() -> None:
    for repair in REPAIRS:
        assert (Path(__file__).parent / f"test_{repair.name}.py").is_file()


def test_the_page_is_that_of_the_registry() -> None:
    """`make docs` writes it."""
    page = (ROOT / "docs" / "repairs.md").read_text()
    for repair in REPAIRS:
        assert f"## {repair.name}\n" in page
        assert repair.about in page
        assert repair.source in page
        assert repair.stage in page
    assert page.count("\n## ") == len(REPAIRS)


def test_only_what_fires_is_noted() -> None:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in "xy")
    erfc, relu = helper.make_node("Erfc", ["x"], ["y"]), helper.make_node("Relu", ["x"], ["y"])
    for node, expected in ((erfc, [("erfc", 1)]), (relu, [])):
        notes: list[Note] = []
        model = helper.make_model(helper.make_graph([node], "g", [x], [y]))
        apply_repairs(model, "after tf2onnx", notes.append)
        assert [(note.repair, note.count) for note in notes] == expected


def test_every_stage_has_repairs() -> None:
    stages = [of_stage(stage) for stage in get_args(Stage)]
    assert all(stages)
    assert {repair for stage in stages for repair in stage} == {*REPAIRS}
