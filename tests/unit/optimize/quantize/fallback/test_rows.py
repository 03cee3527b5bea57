"""Rows, what the models make of them, and which of them are in the subset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.optimize.quantize.fallback.config import Fallback
from taxiway.optimize.quantize.fallback.rows import BROKEN, Rows, hardest
from taxiway.optimize.quantize.fallback.score import Score
from taxiway.plugins import Context

SCORES = np.array([[0.9, 0.1, 0.2], [0.2, 0.3, 0.8], [0.1, 0.9, 0.3], [0.4, 0.3, 0.2]], np.float32)
OPTIONS = Fallback(max_drop="1 pt", subset=4)


def unary(operator: str, folder: Path, **attributes: Any) -> Model:
    """A model that gives one operator's result."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["scores"], **attributes)],
        "unary",
        [info("x", TensorProto.FLOAT, ["n", 3])],
        [info("scores", TensorProto.FLOAT, ["n", 3])],
    )
    opset = [helper.make_opsetid("", 18)]
    path = folder / f"{operator}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return describe(path, "onnx")


@pytest.fixture
def rows(dataset: Any, tmp_path: Path) -> Any:
    """`rows(scores, labels, quantized)`: rows whose input model gives the scores as they are."""

    def make(scores: Any, labels: Any, quantized: str = "Neg", options: Any = OPTIONS) -> Rows:
        data = dataset(np.asarray(scores, np.float32), np.asarray(labels), "x")
        models = unary("Identity", tmp_path), unary(quantized, tmp_path)
        return Rows(*models, options, Context(workdir=tmp_path, data=data))

    return make


def test_scores_are_paired_with_the_input_models(rows: Any, tmp_path: Path) -> None:
    """Classes 0, 2, 1, 0; negated: 1, 0, 0, 2."""
    found = rows(SCORES, [0, 2, 0, 1])
    assert found.before == Score(4, 2, 0, 0)
    assert found.quantized == Score(4, 1, 2, 1)
    assert found.score(unary("Neg", tmp_path)) == found.quantized
    assert found.score(unary("Identity", tmp_path)) == found.before


def test_noise_is_the_errors_power_over_the_scores(rows: Any, tmp_path: Path) -> None:
    found = rows(SCORES, [0, 2, 0, 1])
    assert found.noise(unary("Identity", tmp_path)) == 0
    assert found.noise(unary("Neg", tmp_path)) == pytest.approx(4)


def test_a_row_without_finite_scores_is_wrong_and_loud(rows: Any, tmp_path: Path) -> None:
    """The square root keeps the order, and has no value below 0."""
    found = rows([[0.9, 0.1, 0.2], [0.9, -0.1, 0.2]], [0, 0], "Sqrt")
    assert found.quantized == Score(2, 1, 1, 0)
    assert found.noise(unary("Sqrt", tmp_path)) > BROKEN / 4


def test_agreement_takes_the_input_models_classes(rows: Any) -> None:
    options = Fallback(max_drop="1 pt", metric="agreement")
    found = rows(SCORES, [9, 9, 9, 9], "Neg", options)
    assert (found.before, found.quantized) == (Score(4, 4, 0, 0), Score(4, 0, 4, 0))


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.empty((0, 3)), [], "is empty"),
        ([[np.nan, 0, 1]], [0], "not finite"),
        ([[0, 0, 1]], [3], "labels go from 3"),
    ],
    ids=["no rows", "input model not finite", "label outside"],
)
def test_rows_that_cannot_be_judged(rows: Any, scores: Any, labels: Any, message: str) -> None:
    with pytest.raises(StepError, match=message):
        rows(scores, labels)


@given(errors=st.lists(st.floats(0, 10), min_size=1, max_size=200), count=st.integers(1, 250))
def test_the_subset_has_the_worst_rows_and_others(errors: list[float], count: int) -> None:
    values = np.array(errors)
    chosen = hardest(values, count)
    assert len(chosen) == len({*chosen}) == min(count, len(values))
    assert list(chosen) == sorted(chosen)
    worst = np.sort(values)[::-1][: min(count, len(values)) // 2]
    assert np.sort(values[chosen])[::-1][: len(worst)].tolist() == worst.tolist()
