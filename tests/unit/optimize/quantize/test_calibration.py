"""What the calibrator is fed: the first samples of the split, in the model's names and batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taxiway.errors import StepError
from taxiway.model import Model, Signature, TensorSpec
from taxiway.optimize.quantize.calibration import Feeds
from taxiway.plugins import CALIBRATION, Context, Selection


def model(*inputs: TensorSpec) -> Model:
    return Model(format="onnx", path=Path("m.onnx"), signature=Signature(inputs=inputs, outputs=()))


def spec(name: str, *shape: int | str, **more: Any) -> TensorSpec:
    return TensorSpec(name=name, dtype=more.pop("dtype", "float32"), shape=shape, **more)


ROWS = np.arange(70, dtype=np.float32).reshape(70, 1)


@pytest.mark.parametrize(
    ("shape", "samples", "expected"),
    [
        (("batch", 1), 40, [[[i]] for i in range(40)]),
        ((3, 1), 7, [[[0], [1], [2]], [[3], [4], [5]], [[6], [6], [6]]]),
        ((3, 1), 6, [[[0], [1], [2]], [[3], [4], [5]]]),
        ((1,), 3, [[0], [1], [2]]),
    ],
    ids=["free batch", "fixed batch, filled up", "fixed batch", "no batch axis"],
)
def test_feeds(
    shape: tuple[int | str, ...], samples: int, expected: list[Any], array_dataset: Any
) -> None:
    progress: list[tuple[int, int | None, str]] = []
    context = Context(
        workdir=Path(), data=array_dataset(x=ROWS), progress=lambda *args: progress.append(args)
    )
    feeds = Feeds(model(spec("input", *shape)), Selection(CALIBRATION, samples), context)
    found = [feed["input"].tolist() for feed in feeds]
    assert len(feeds) == len(found)
    assert found == expected
    assert progress[-1] == (samples, samples, "samples")


def test_inputs_get_the_models_names_and_dtypes(array_dataset: Any) -> None:
    data = array_dataset(ids=np.ones((4, 2), np.int64), scale=np.ones((4, 1)))
    inputs = (spec("scale", "batch", 1), spec("ids", "batch", 2, dtype="int32"))
    (feed, *_) = Feeds(model(*inputs), Selection(CALIBRATION, 4), Context(Path(), data=data))
    assert {name: array.dtype.name for name, array in feed.items()} == {
        "scale": "float32",
        "ids": "int32",
    }


@pytest.mark.parametrize(
    ("arrays", "message", "hint"),
    [
        (None, "the recipe has no data", "data=npz"),
        ({"x": ROWS[:5]}, "asks for 9 samples, the calibration split has 5", "samples=5"),
        ({"x": ROWS[:0]}, "has 0", "add samples"),
        ({"y": ROWS, "z": ROWS}, "takes inputs x", "name the arrays"),
    ],
    ids=["no data", "too few", "empty", "other names"],
)
def test_wrong_data_is_an_error(
    arrays: dict[str, Any] | None, message: str, hint: str, array_dataset: Any
) -> None:
    data = None if arrays is None else array_dataset(**arrays)
    with pytest.raises(StepError, match=message) as caught:
        Feeds(model(spec("x", "batch", 1)), Selection(CALIBRATION, 9), Context(Path(), data=data))
    assert hint in (caught.value.hint or "")


def test_rows_are_read_in_a_stream(array_dataset: Any) -> None:
    data = array_dataset(x=ROWS)
    context = Context(Path(), data=data)
    next(iter(Feeds(model(spec("x", "batch", 1)), Selection(CALIBRATION), context)))
    assert data.reads == [(CALIBRATION, 32)]
