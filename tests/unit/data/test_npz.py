from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from taxiway.data.npz import Npz, NpzDataset
from taxiway.data.splits import Split, split_order
from taxiway.errors import SafetyError, StepError
from taxiway.plugins import Selection

ROWS = 40
CALIBRATION = Selection("calibration")
TEST = Selection("test")
LABELLED = Selection("test", labels=True)


def write(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def digits(path: Path, rows: int = ROWS) -> dict[str, np.ndarray]:
    arrays = {
        "x": np.arange(rows * 6, dtype=np.uint8).reshape(rows, 2, 3),
        "y": (np.arange(rows) % 4).astype(np.int64),
    }
    write(path, **arrays)
    return arrays


def open_npz(path: Path, seed: int = 0, **options: Any) -> NpzDataset:
    config = msgspec.convert({"type": "npz", "path": str(path), **options}, Npz.Config)
    dataset = Npz().open(config, seed)
    assert isinstance(dataset, NpzDataset)
    return dataset


def read(dataset: NpzDataset, selection: Selection, size: int = 7) -> dict[str, np.ndarray]:
    batches = list(dataset.batches(selection, size))
    assert all(len(next(iter(b.inputs.values()))) == size for b in batches[:-1])
    merged = {k: np.concatenate([b.inputs[k] for b in batches]) for k in batches[0].inputs}
    if selection.labels:
        merged["labels"] = np.concatenate([b.labels for b in batches])
    return merged


def test_default_splits_are_disjoint_halves_with_their_own_labels(tmp_path: Path) -> None:
    arrays = digits(tmp_path / "d.npz")
    dataset = open_npz(tmp_path / "d.npz", seed=3, dtype="keep")
    rows = {}
    for split in ("calibration", "test"):
        got = read(dataset, Selection(split, labels=True))
        number = got["input"][:, 0, 0].astype(int)
        rows[split] = [int(np.flatnonzero(arrays["x"][:, 0, 0] == n)[0]) for n in number]
        np.testing.assert_array_equal(got["labels"], arrays["y"][rows[split]])
    assert not set(rows["calibration"]) & set(rows["test"])
    assert sorted(rows["calibration"] + rows["test"]) == list(range(ROWS))


def test_first_samples_of_a_class_sorted_file_represent_every_class(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(4), 50)
    write(tmp_path / "d.npz", x=labels[:, None], y=labels, own=labels[:, None], own_y=labels)
    own = {"calibration": {"inputs": "own", "labels": "own_y"}}
    for splits in ({}, {"splits": own}):
        dataset = open_npz(tmp_path / "d.npz", **splits)
        got = read(dataset, Selection("calibration", samples=40, labels=True))
        assert set(got["labels"]) == {0, 1, 2, 3}


@given(
    count=st.integers(0, 300),
    seed=st.integers(0, 2**40),
    parts=st.lists(st.integers(1, 100), min_size=1, max_size=5),
)
@example(count=133, seed=0, parts=[33, 54, 100, 16, 63])
def test_fractions_are_disjoint_complete_and_repeatable(
    count: int, seed: int, parts: list[int]
) -> None:
    splits = {f"s{i}": Split(fraction=part / sum(parts)) for i, part in enumerate(parts)}
    orders = {name: split_order(splits, name, count, seed) for name in splits}
    assert sorted(np.concatenate(list(orders.values())).tolist()) == list(range(count))
    again = dict(reversed(splits.items()))
    for name, order in orders.items():
        np.testing.assert_array_equal(split_order(again, name, count, seed), order)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [("0:3", [0, 1, 2]), ("37:", [37, 38, 39]), (":2", [0, 1]), ("38:99", [38, 39])],
)
def test_rows(tmp_path: Path, rows: str, expected: list[int]) -> None:
    arrays = digits(tmp_path / "d.npz")
    dataset = open_npz(tmp_path / "d.npz", splits={"test": {"rows": rows}}, dtype="keep")
    np.testing.assert_array_equal(read(dataset, TEST)["input"], arrays["x"][expected])


def test_own_arrays_do_not_need_the_default_ones(tmp_path: Path) -> None:
    write(tmp_path / "d.npz", a=np.ones((5, 2)), b=np.zeros((3, 2)), c=np.array([7, 8, 9]))
    splits = {"calibration": {"inputs": "a"}, "test": {"inputs": "b", "labels": "c"}}
    dataset = open_npz(tmp_path / "d.npz", splits=splits)
    assert dataset.count(CALIBRATION) == 5
    assert sorted(read(dataset, LABELLED)["labels"]) == [7, 8, 9]
    with pytest.raises(StepError, match="split 'calibration' has no labels"):
        list(dataset.batches(Selection("calibration", labels=True), 2))


def test_several_inputs_stay_aligned(tmp_path: Path) -> None:
    ids = np.arange(500, dtype=np.int64)
    write(tmp_path / "d.npz", ids=ids, wide=np.repeat(ids, 3000).reshape(500, 3000), y=ids)
    dataset = open_npz(tmp_path / "d.npz", inputs={"a": "ids", "b": "wide"}, dtype="keep")
    got = read(dataset, Selection("test", samples=123, labels=True), 50)
    assert len(got["a"]) == 123
    np.testing.assert_array_equal(got["a"], got["b"][:, 0])
    np.testing.assert_array_equal(got["a"], got["labels"])


@pytest.mark.parametrize(
    ("options", "dtype", "value"),
    [
        ({}, np.float32, 6),
        ({"scale": 0.5, "offset": -1}, np.float32, 2),
        ({"dtype": "int64"}, np.int64, 6),
        ({"dtype": "keep"}, np.uint8, 6),
    ],
    ids=["float32", "scaled", "int64", "keep"],
)
def test_preprocessing(tmp_path: Path, options: dict[str, Any], dtype: type, value: int) -> None:
    digits(tmp_path / "d.npz")
    dataset = open_npz(tmp_path / "d.npz", splits={"test": {"rows": "1:2"}}, **options)
    got = read(dataset, TEST)["input"]
    assert got.dtype == dtype
    assert got[0, 0, 0] == value


def changed(arrays: dict[str, np.ndarray], name: str, row: int) -> dict[str, np.ndarray]:
    copy = arrays[name].copy()
    copy[row] += 1
    return {**arrays, name: copy}


def test_fingerprint_covers_exactly_what_is_read(tmp_path: Path) -> None:
    splits = {"splits": {"calibration": {"rows": "0:10"}, "test": {"rows": "10:20"}}}
    selections = {
        "calibration": CALIBRATION,
        "test": TEST,
        "test5": Selection("test", samples=5),
        "labelled": LABELLED,
    }
    arrays = digits(tmp_path / "d.npz")

    def prints(name: str, arrays: dict[str, np.ndarray], **options: Any) -> dict[str, str]:
        dataset = open_npz(write(tmp_path / name, **arrays), **{**splits, **options})
        return {key: dataset.fingerprint(selection) for key, selection in selections.items()}

    base = prints("base.npz", arrays)
    assert len(set(base.values())) == 4
    cases: list[tuple[dict[str, str], set[str]]] = [
        (prints("same.npz", arrays), set()),
        (prints("label.npz", changed(arrays, "y", 12)), {"labelled"}),
        (prints("row.npz", changed(arrays, "x", 12)), {"test", "test5", "labelled"}),
        (prints("late.npz", changed(arrays, "x", 17)), {"test", "labelled"}),
        (prints("unread.npz", changed(arrays, "x", 30)), set()),
        (prints("scale.npz", arrays, scale=2.0), set(base)),
        (prints("type.npz", {**arrays, "x": arrays["x"].astype(np.int8)}), set(base)),
    ]
    for now, expected in cases:
        assert {key for key in base if now[key] != base[key]} == expected


@settings(deadline=None)
@given(data=st.data())
def test_reader_equals_numpy(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    dtype = data.draw(
        hnp.boolean_dtypes()
        | hnp.integer_dtypes(endianness="?")
        | hnp.unsigned_integer_dtypes(endianness="?")
        | hnp.floating_dtypes(endianness="?")
        | hnp.unicode_string_dtypes(min_len=1, max_len=4)
        | hnp.byte_string_dtypes(min_len=1, max_len=4)
    )
    shape = data.draw(hnp.array_shapes(max_dims=4, max_side=6))
    array = data.draw(hnp.arrays(dtype, shape))
    if data.draw(st.booleans()):
        array = np.asfortranarray(array)
    save = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
    path = tmp_path_factory.mktemp("npz") / "d.npz"
    save(path, x=array)
    start = data.draw(st.integers(0, shape[0] - 1))
    stop = data.draw(st.integers(start + 1, shape[0]))
    splits = {"test": {"rows": f"{start}:{stop}"}}
    dataset = open_npz(path, splits=splits, dtype="keep")
    got = read(dataset, TEST, data.draw(st.integers(1, 4)))["input"]
    expected = np.load(path)["x"][start:stop]
    assert got.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_cross_chunks(tmp_path: Path, order: str) -> None:
    array = np.asarray(np.random.default_rng(0).random((3000, 200)), order=order)
    np.savez(tmp_path / "d.npz", x=array)
    dataset = open_npz(tmp_path / "d.npz", splits={"test": {"fraction": 0.3}}, dtype="keep")
    rows = np.sort(split_order({"test": Split(fraction=0.3)}, "test", 3000, 0))
    np.testing.assert_array_equal(read(dataset, TEST, 64)["input"], array[rows])


def test_counts(tmp_path: Path) -> None:
    digits(tmp_path / "d.npz")
    dataset = open_npz(tmp_path / "d.npz", class_names=["a", "b"])
    assert dataset.count(TEST) == 20
    assert dataset.count(Selection("test", samples=8)) == 8
    assert dataset.count(Selection("test", samples=99)) == 20
    assert dataset.class_names == ("a", "b")
    assert dataset.preprocessing == {"scale": 1.0, "offset": 0.0, "dtype": "float32"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splits": {"test": {}}}, "exactly one of"),
        ({"splits": {"test": {"fraction": 0.5, "rows": "0:9"}}}, "got fraction and rows"),
        ({"splits": {"test": {"fraction": 0.5, "labels": "y"}}}, "its own inputs"),
        ({"splits": {"a": {"fraction": 0.7}, "b": {"fraction": 0.4}}}, "sum to 1.1"),
        ({"splits": {"a": {"rows": "0:9"}, "b": {"fraction": 0.4}}}, "would overlap"),
        ({"splits": {"a": {"rows": "9"}}}, "regex"),
        ({"splits": {"a": {"fraction": 0}}}, "> 0"),
        ({"scale": 2, "dtype": "int64"}, "need dtype float32"),
    ],
)
def test_options_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert({"type": "npz", "path": "d.npz", **options}, Npz.Config)


@pytest.mark.parametrize(
    ("arrays", "selection", "message"),
    [
        ({"z": np.ones(3)}, TEST, "no array 'x'"),
        ({"x": np.ones((3, 1)), "y": np.ones(4)}, LABELLED, "differ in rows: x 3, y 4"),
        ({"x": np.ones((3, 1))}, Selection("other"), "no split 'other'"),
        ({"x": np.float32(1)}, TEST, "expected rows"),
        ({"x": np.ones((0, 3))}, TEST, "expected rows"),
    ],
)
def test_unusable_data(
    tmp_path: Path, arrays: dict[str, Any], selection: Selection, message: str
) -> None:
    dataset = open_npz(write(tmp_path / "d.npz", **arrays))
    with pytest.raises(StepError, match=message) as caught:
        dataset.fingerprint(selection)
    assert not isinstance(caught.value, SafetyError)


@pytest.mark.parametrize("content", [b"", b"no archive", None], ids=["empty", "text", "absent"])
def test_no_archive(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(StepError, match=r"d\.npz"):
        open_npz(tmp_path / "d.npz")


def test_without_labels_the_hint_says_what_else_can_be_done(tmp_path: Path) -> None:
    write(tmp_path / "d.npz", x=np.zeros((4, 2)))
    dataset = open_npz(tmp_path / "d.npz", labels=None)
    with pytest.raises(StepError) as found:
        dataset.fingerprint(Selection("test", labels=True, unlabelled="metric=agreement"))
    assert str(found.value.hint).endswith(", or metric=agreement")
