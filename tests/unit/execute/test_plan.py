"""A plan is whole before any work: its order, its formats, and every mistake at its line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import taxiway
from taxiway.data.npz import NpzDataset
from taxiway.errors import RecipeError
from taxiway.plugins import Selection


def test_each_step_says_what_it_takes_and_uses(onnx_recipe: Path) -> None:
    plan = taxiway.load(onnx_recipe).plan()
    assert [(s.name, s.takes, s.gives, dict(s.uses)) for s in plan.steps] == [
        ("source", None, "onnx", {}),
        ("calibration.quantize_static", "onnx", None, {"model": "source"}),
        ("optimize.quantize_static", "onnx", "onnx", {"model": "source"}),
        (
            "parity.optimize.quantize_static",
            "onnx",
            None,
            {"model": "optimize.quantize_static", "reference": "source"},
        ),
        ("evaluate.source", "onnx", None, {"model": "source"}),
        (
            "evaluate",
            "onnx",
            None,
            {"model": "optimize.quantize_static", "baseline": "evaluate.source"},
        ),
        (
            "ledger",
            "onnx",
            None,
            {
                "model": "optimize.quantize_static",
                "baseline": "evaluate.source",
                "evaluation": "evaluate",
                "chain.0": "source",
                "chain.1": "optimize.quantize_static",
            },
        ),
        ("deploy", "onnx", None, {"model": "optimize.quantize_static", "evaluation": "evaluate"}),
    ]
    assert plan.artifact.name == "optimize.quantize_static"


QUANTIZE = "calibration.quantize_static optimize.quantize_static"
PROOF = "parity.optimize.quantize_static"


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (
            ["deploy=null"],
            f"source {QUANTIZE} {PROOF} evaluate.source evaluate ledger",
        ),
        (
            ["evaluate=null", "deploy=null"],
            f"source {QUANTIZE} {PROOF} ledger",
        ),
        (
            ["parity=null"],
            f"source {QUANTIZE} evaluate.source evaluate ledger deploy",
        ),
        (
            ["ledger=null"],
            f"source {QUANTIZE} {PROOF} evaluate.source evaluate deploy",
        ),
        (
            ["calibration=null"],
            f"source optimize.quantize_static {PROOF} evaluate.source evaluate ledger deploy",
        ),
        (["~optimize.quantize_static"], "source evaluate.source evaluate deploy"),
        (
            ["evaluate.baseline=none", "~evaluate.gates.accuracy"],
            f"source {QUANTIZE} {PROOF} evaluate ledger deploy",
        ),
        (
            ["+optimize@optimize.first=simplify"],
            f"source {QUANTIZE} {PROOF} optimize.first "
            "parity.optimize.first evaluate.source evaluate ledger deploy",
        ),
    ],
    ids=[
        "no deploy",
        "model only",
        "no proof",
        "no ledger",
        "no doctor",
        "no pass",
        "no baseline",
        "two passes",
    ],
)
def test_what_a_recipe_leaves_out_is_no_step(overrides, names: str, onnx_recipe: Path) -> None:
    plan = taxiway.load(onnx_recipe, overrides).plan()
    assert [step.name for step in plan.steps] == names.split()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["deploy=litert_bundle"], "deploy 'litert_bundle' takes tflite, but the recipe's result"),
        (["data=null"], "it reads samples, but the recipe has no data section"),
        (["evaluate.split=other"], "the data has no split 'other'"),
        (["optimize.quantize_static.io_dtype=int8"], "io_dtype 'int8' works on tflite only"),
        (["data.inputs=absent", "~data.splits"], "absent"),
    ],
    ids=["deploy", "no data", "split", "option", "array"],
)
def test_a_plan_that_cannot_work_is_a_mistake(overrides, message: str, onnx_recipe: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        taxiway.load(onnx_recipe, overrides).plan()
    assert any(message in problem.message for problem in caught.value.problems), caught.value
    assert all(problem.line for problem in caught.value.problems)


def test_all_mistakes_of_a_plan_are_said_at_once(onnx_recipe: Path) -> None:
    overrides = ["deploy=litert_bundle", "evaluate.split=other"]
    with pytest.raises(RecipeError) as caught:
        taxiway.load(onnx_recipe, overrides).plan()
    said = " ".join(problem.message for problem in caught.value.problems)
    assert "litert_bundle" in said
    assert "split 'other'" in said


def test_options_of_a_conversion_that_does_not_happen_are_a_mistake(onnx_recipe: Path) -> None:
    path = onnx_recipe.with_name("blobs.onnx")
    overrides = ["source=tflite", f"source.path={path}", "convert=tflite", "convert.batch=1"]
    overrides += ["~optimize.quantize_static", "deploy=null", "parity=null"]
    with pytest.raises(RecipeError, match=r"convert\.batch has no effect: the source is tflite"):
        taxiway.load(onnx_recipe, overrides).plan()


def test_rows_are_hashed_once_for_a_plan_and_again_after_a_step(
    onnx_recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several steps read the same rows; whether a step's files changed is looked at anew."""
    hashed: Counter[Selection] = Counter()
    fingerprint = NpzDataset.fingerprint

    def counted(self: NpzDataset, selection: Selection) -> str:
        hashed[selection] += 1
        return fingerprint(self, selection)

    monkeypatch.setattr(NpzDataset, "fingerprint", counted)
    plan = taxiway.load(onnx_recipe).plan()
    assert len(hashed) > 2 and set(hashed.values()) == {1}
    evaluate = plan.named("evaluate")
    before = hashed.total()
    assert evaluate.unchanged()
    assert hashed.total() == before + 1
