from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taxiway.errors import StepError
from taxiway.model import Model, Signature, TensorSpec
from taxiway.model.classes import class_numbers, predicted, score_output


@pytest.mark.parametrize(
    ("scores", "classes", "expected"),
    [
        ([[0.1, 0.9], [0.8, 0.2]], 2, [1, 0]),
        ([[1.0, 5.0, 2.0]], 3, [1]),
        ([[0.4], [0.6], [0.5]], 2, [0, 1, 0]),
        ([0.4, 0.6], 2, [0, 1]),
        ([[[[0.1, 0.7, 0.2]]]], 3, [1]),
        ([[1, 1, 0]], 3, [0]),
    ],
    ids=["two", "three", "binary", "binary flat", "map of one pixel", "tie takes the first"],
)
def test_predicted(scores: Any, classes: int, expected: list[int]) -> None:
    array = np.array(scores)
    guess, count = predicted(array, len(array), "scores")
    assert (guess.tolist(), count) == (expected, classes)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.full((4, 2), np.nan), "not finite .* for 4 of 4"),
        (np.array([[1.0, 2.0], [np.inf, 0], [0, 1], [0, 1]]), "for 1 of 4"),
        (np.ones((3, 2)), "for 4 samples"),
        (np.ones((4, 5, 6)), "expected class scores"),
        (np.array(["a"] * 4), "expected one row"),
        (np.float32(1), "expected one row"),
    ],
)
def test_scores_that_are_none(scores: np.ndarray, message: str) -> None:
    with pytest.raises(StepError, match=message):
        predicted(np.asarray(scores), 4, "scores")


@pytest.mark.parametrize(
    "labels",
    [
        np.array([2, 0, 1], np.uint8),
        np.array([[2], [0], [1]]),
        np.array([2.0, 0.0, 1.0], np.float32),
        np.eye(3)[[2, 0, 1]],
        np.eye(3, dtype=bool)[[2, 0, 1]],
    ],
    ids=["numbers", "column", "whole floats", "one-hot", "one-hot booleans"],
)
def test_labels(labels: np.ndarray) -> None:
    assert class_numbers(labels, 3).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 3]), "go from 0 to 3; the model has 3 classes"),
        (np.array([-1, 0]), "go from -1"),
        (np.array([0.5, 1]), "not whole"),
        (np.array([np.nan, 1]), "not whole"),
        (np.array([[0.5, 0.5, 0]]), "not one-hot"),
        (np.array([[1, 1, 0]]), "not one-hot"),
        (np.ones((2, 4)), r"expected \[n\] or \[n, 3\]"),
        (np.array(["cat"]), "no numbers"),
    ],
)
def test_labels_that_do_not_fit(labels: np.ndarray, message: str) -> None:
    with pytest.raises(StepError, match=message):
        class_numbers(labels, 3)


@pytest.mark.parametrize(
    ("outputs", "wanted", "expected"),
    [
        (["a", "b"], None, "a"),
        (["a", "b"], "b", "b"),
        (["renamed"], "probabilities", "renamed"),
    ],
)
def test_score_output(outputs: list[str], wanted: str | None, expected: str) -> None:
    assert score_output(model(outputs), wanted) == expected


def test_score_output_that_is_none() -> None:
    with pytest.raises(StepError, match="no output 'c'") as caught:
        score_output(model(["a", "b"]), "c")
    assert "a, b" in str(caught.value.hint)


def model(outputs: list[str]) -> Model:
    specs = [TensorSpec(name=name, dtype="float32", shape=("batch", 3)) for name in outputs]
    signature = Signature(inputs=(specs[0],), outputs=tuple(specs))
    return Model(format="onnx", path=Path("model.onnx"), signature=signature)


def test_the_hint_names_the_option_of_the_caller() -> None:
    with pytest.raises(StepError) as found:
        predicted(np.ones((4, 5, 6)), 4, "maps", "fallback.output")
    assert found.value.hint == "set fallback.output to the output that holds them"
