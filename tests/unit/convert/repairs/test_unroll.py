"""Recurrent Keras layers in TFLite with a free batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from taxiway.convert.repairs.unroll import LIMIT, REPAIR
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.plugins import Context, Note, registry

pytestmark = pytest.mark.slow

STEPS, FEATURES = 6, 3


def stacked(layers: Any, x: Any) -> Any:
    y = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    return layers.Dense(2)(layers.GRU(5, go_backwards=True)(y))


def states(layers: Any, x: Any) -> Any:
    y, h, c = layers.LSTM(4, return_sequences=True, return_state=True)(x)
    return [layers.SimpleRNN(3)(y, initial_state=layers.Dense(3)(h)), c]


def masked(layers: Any, x: Any) -> Any:
    return layers.GRU(4, reset_after=False)(layers.Masking()(x))


def cells(layers: Any, x: Any) -> Any:
    return layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)])(x)


def distributed(layers: Any, x: Any) -> Any:
    y = layers.Reshape((2, STEPS // 2, FEATURES))(x)
    return layers.TimeDistributed(layers.SimpleRNN(4))(y)


def convolutional(layers: Any, x: Any) -> Any:
    y = layers.Reshape((STEPS, FEATURES, 1, 1))(x)
    return layers.Flatten()(layers.ConvLSTM2D(2, (2, 1))(y))


MODELS = [stacked, states, masked, cells, distributed]
CASES = [
    *((make, ".keras") for make in (*MODELS, convolutional)),
    *((make, ".h5") for make in MODELS),
]


def save(make: Any, path: Path, steps: int | None = STEPS) -> Model:
    import keras
    import tf_keras

    library = keras if path.suffix == ".keras" else tf_keras
    library.utils.set_random_seed(0)
    x = library.layers.Input((steps, FEATURES), name="x")
    library.Model(x, make(library.layers, x)).save(path)
    return describe(path, "keras")


def to_tflite(model: Model, folder: Path, **options: Any) -> tuple[Model, list[Note]]:
    plugin = registry().get("converter", "keras_to_tflite")
    (folder / "converted").mkdir()
    notes: list[Note] = []
    context = Context(folder / "converted", note=notes.append)
    step: Any = plugin.implementation("keras")
    return step.run(model, msgspec.convert(options, plugin.step.Config), context), notes


@pytest.mark.parametrize(("make", "suffix"), CASES, ids=[f"{m.__name__} {s}" for m, s in CASES])
def test_the_batch_stays_free(make: Callable[..., Any], suffix: str, tmp_path: Path) -> None:
    source = save(make, tmp_path / f"model{suffix}")
    before = source.path.read_bytes()
    result, notes = to_tflite(source, tmp_path)
    assert source.path.read_bytes() == before
    assert [note.repair for note in notes] == ["unroll"]
    assert isinstance(result.signature.inputs[0].shape[0], str)
    for batch in (1, 4):
        x = np.random.default_rng(batch).normal(size=(batch, STEPS, FEATURES)).astype(np.float32)
        x[:, 3] = 0
        expected, found = (open_runner(m).predict({"x": x}) for m in (source, result))
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=2e-6, err_msg=name)


@pytest.mark.parametrize(
    ("steps", "said"), [(None, "time axis of 'lstm.*' is free"), (LIMIT + 1, f"than {LIMIT}")]
)
def test_what_cannot_be_written_out_says_why(steps: Any, said: str, tmp_path: Path) -> None:
    source = save(lambda layers, x: layers.LSTM(4)(x), tmp_path / "model.keras", steps)
    with pytest.raises(StepError, match=f"free batch axis.*{said}"):
        to_tflite(source, tmp_path)


def test_a_fixed_batch_needs_no_repair(tmp_path: Path) -> None:
    source = save(stacked, tmp_path / "model.keras")
    result, notes = to_tflite(source, tmp_path, batch=1)
    assert not notes and result.signature.inputs[0].shape[0] == 1


def test_it_applies_to_recurrent_layers_only() -> None:
    import keras

    dense = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    assert REPAIR.applies(dense) == REPAIR.apply(dense) == 0
