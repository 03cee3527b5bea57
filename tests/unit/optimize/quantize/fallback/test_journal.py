"""What is kept of candidates over a kill."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.optimize.quantize.fallback.journal import FILE, Journal, Measured, key_of
from taxiway.optimize.quantize.fallback.score import Score

FIRST = Measured(key="a" * 64, noise=0.1 + 0.2, size=100, seconds=0.5)
SECOND = Measured(key="b" * 64, score=Score(10, 9, 1, 0), size=90, seconds=0.25)
FAILED = Measured(key="c" * 64, failure="nothing was quantized")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder with a journal of three lines."""
    journal = Journal(tmp_path / "checkpoints")
    for measured in (FIRST, SECOND, FAILED):
        journal.add(measured)
    return tmp_path / "checkpoints"


def test_another_journal_knows_all_of_it(written: Path) -> None:
    again = Journal(written)
    assert [again.known(each.key) for each in (FIRST, SECOND, FAILED)] == [FIRST, SECOND, FAILED]
    assert (again.found, again.candidates, again.seconds) == (3, 3, 0.75)


def test_what_is_measured_of_one_candidate_at_two_times_is_joined(written: Path) -> None:
    Journal(written).add(Measured(key=FIRST.key, score=SECOND.score, size=100, seconds=0.5))
    known = Journal(written).known(FIRST.key)
    assert known is not None
    assert (known.noise, known.score, known.seconds) == (FIRST.noise, SECOND.score, 1.0)


def test_a_line_torn_anywhere_is_left_out_and_the_next_one_is_whole(written: Path) -> None:
    whole = (written / FILE).read_bytes()
    start = whole.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(start + 1, len(whole) - 1):
        (written / FILE).write_bytes(whole[:end])
        torn = Journal(written)
        assert (torn.found, torn.known(FAILED.key)) == (2, None)
        torn.add(FAILED)
        assert Journal(written).known(FAILED.key) == FAILED


@given(noise=st.binary(max_size=200))
def test_bytes_that_are_no_journal_are_left_out(noise: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE).write_bytes(noise)
        journal = Journal(Path(folder))
        journal.add(FIRST)
        assert Journal(Path(folder)).known(FIRST.key) == FIRST


def test_without_a_folder_it_is_kept_in_memory() -> None:
    journal = Journal(None)
    journal.add(FIRST)
    assert journal.known(FIRST.key) == FIRST


def test_a_candidate_is_what_is_kept_in_which_precision() -> None:
    assert key_of({"a": "float32", "b": "float16"}) == key_of({"b": "float16", "a": "float32"})
    assert key_of({"a": "float32"}) != key_of({"a": "float16"}) != key_of({})
