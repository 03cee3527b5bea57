from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from taxiway.author.starter_data import guess
from taxiway.errors import UsageError
from taxiway.model import Signature, TensorSpec

IMAGE = TensorSpec(name="image", dtype="float32", shape=("batch", 4, 4))
INT8 = TensorSpec(name="image", dtype="int8", shape=(1, 4, 4), scale=0.1, zero_point=0)
IDS = TensorSpec(name="ids", dtype="int64", shape=("batch", "sequence"))
TEXT = TensorSpec(name="text", dtype="str", shape=("batch",))
SCORES = TensorSpec(name="scores", dtype="float32", shape=("batch", 3))


def image(rows: int = 8, dtype: str = "float32") -> np.ndarray:
    return np.zeros((rows, 4, 4), dtype)


def labels(rows: int = 8) -> np.ndarray:
    return np.zeros(rows, np.int64)


@pytest.mark.parametrize(
    ("specs", "arrays", "inputs", "label", "calibration"),
    [
        pytest.param([IMAGE], {"x": image(), "y": labels()}, ["x"], "y", None, id="plain"),
        pytest.param([IMAGE], {"x": image()}, ["x"], None, None, id="no labels"),
        pytest.param(
            [IMAGE],
            {"x_train": image(9), "y_train": labels(9), "x_test": image(), "y_test": labels()},
            ["x_test"],
            "y_test",
            ["x_train"],
            id="two splits",
        ),
        pytest.param(
            [IMAGE],
            {"x_train": image(), "y_train": labels(), "x_test": image(), "y_test": labels()},
            ["x_test"],
            "y_test",
            ["x_train"],
            id="two splits of one size",
        ),
        pytest.param(
            [IMAGE],
            {"x_train": image(), "y_train": labels()},
            ["x_train"],
            "y_train",
            None,
            id="train",
        ),
        pytest.param(
            [IMAGE],
            {"a": image(dtype="int8"), "b": image(), "label": labels()},
            ["b"],
            "label",
            None,
            id="nearest dtype",
        ),
        pytest.param(
            [INT8],
            {"a": image(dtype="int8"), "b": image()},
            ["b"],
            None,
            None,
            id="a quantized input takes real numbers",
        ),
        pytest.param([IMAGE], {"a": image(), "image": image()}, ["image"], None, None, id="name"),
        pytest.param(
            [IMAGE],
            {"x": image(), "other": labels(7), "one_hot": np.eye(8, 3)},
            ["x"],
            "one_hot",
            None,
            id="one-hot labels",
        ),
        pytest.param(
            [IMAGE],
            {"x": image(), "name": np.array(["a"] * 8), "id": labels(), "label": labels()},
            ["x"],
            "label",
            None,
            id="labels by name",
        ),
        pytest.param(
            [IDS, IMAGE],
            {"x": image(), "t": np.zeros((8, 5), np.int32)},
            ["t", "x"],
            None,
            None,
            id="two inputs",
        ),
        pytest.param(
            [IMAGE, IMAGE.__class__(name="b", dtype="float32", shape=("batch", 4, 4))],
            {"b": image(), "c": image()},
            ["c", "b"],
            None,
            None,
            id="two inputs of one shape, one by name",
        ),
        pytest.param([TEXT], {"t": np.array(["a", "b"])}, ["t"], None, None, id="text"),
        pytest.param(
            [TensorSpec(name="x", dtype="float32", shape=("...",))],
            {"x": image()},
            ["x"],
            None,
            None,
            id="unknown rank",
        ),
    ],
)
def test_guess(specs, arrays, inputs, label, calibration, tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", **arrays)
    found = guess(tmp_path / "s.npz", Signature(inputs=tuple(specs), outputs=(SCORES,)))
    assert [array.name for array in found.inputs.values()] == inputs
    assert (found.labels and found.labels.name) == label
    own = found.calibration and [array.name for array in found.calibration.values()]
    assert own == calibration


@pytest.mark.parametrize(
    ("specs", "arrays"),
    [
        ([IMAGE], {"x": np.zeros((8, 5, 4))}),
        ([IMAGE], {"x": np.zeros((8, 4))}),
        ([IDS], {"x": np.zeros((8, 4), np.float32)}),
        ([IMAGE, IMAGE.__class__(name="b", dtype="float32", shape=("n", 4, 4))], {"x": image()}),
        ([IMAGE], {}),
    ],
    ids=["shape", "rank", "reals for ids", "one array for two inputs", "no array"],
)
def test_arrays_that_do_not_fit_are_shown_beside_the_inputs(specs, arrays, tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(UsageError) as caught:
        guess(tmp_path / "s.npz", Signature(inputs=tuple(specs), outputs=(SCORES,)))
    assert str(specs[0]) in str(caught.value)
    assert all(f"{name}:" in str(caught.value) for name in arrays)
