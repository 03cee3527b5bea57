"""What the teacher said is kept once, and found again after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from taxiway.optimize.distill.teacher import Layout, RememberedAnswers

SHAPES = ((3,), (2, 2), ())


class Asked:
    """A teacher whose answers follow from the rows; it counts what it was asked."""

    def __init__(self) -> None:
        self.rows = 0

    def answer(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        self.rows += len(inputs[0])
        sums = sum(array.reshape(len(array), -1).sum(axis=1) for array in inputs)
        return tuple(
            np.multiply.outer(sums, np.arange(1, 1 + int(np.prod(shape))).reshape(shape)).astype(
                np.float32
            )
            for shape in SHAPES
        )


def remembered(teacher: Asked, path: Path) -> RememberedAnswers:
    return RememberedAnswers(teacher, path, Layout(SHAPES))  # type: ignore[arg-type]


def rows(*numbers: int) -> tuple[Any, ...]:
    first = np.asarray(numbers, np.int32)[:, None] * np.ones((1, 4), np.int32)
    return first, first.astype(np.float32) / 3


def test_each_row_is_asked_once(tmp_path: Path) -> None:
    teacher = Asked()
    answers = remembered(teacher, tmp_path / "a")
    answers.answer(rows(1, 2, 3))
    answers.answer(rows(3, 2))
    answers.answer(rows(2, 2, 2))
    assert teacher.rows == 3 and len(answers) == 3


def test_after_a_kill(tmp_path: Path) -> None:
    """The file is read again; half a record at its end is dropped and asked anew."""
    path = tmp_path / "a"
    before = remembered(Asked(), path)
    whole = before.answer(rows(5, 6, 7))
    before.close()
    path.write_bytes(path.read_bytes()[:-5])
    teacher = Asked()
    after = remembered(teacher, path)
    assert len(after) == 2
    after.answer(rows(5, 6))
    assert teacher.rows == 0
    again = after.answer(rows(5, 6, 7))
    assert teacher.rows == 3 and len(after) == 3
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert path.stat().st_size == 3 * Layout(SHAPES).nbytes


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), max_size=5))
def test_it_says_what_the_teacher_says(tmp_path_factory: Any, batches: list[list[int]]) -> None:
    answers = remembered(Asked(), tmp_path_factory.mktemp("answers") / "a")
    for numbers in batches:
        found = answers.answer(rows(*numbers))
        for one, other in zip(found, Asked().answer(rows(*numbers)), strict=True):
            assert one.shape == other.shape and one.dtype == np.float32
            np.testing.assert_array_equal(one, other)
    answers.close()
