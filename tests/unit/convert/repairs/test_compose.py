"""Operators that TFLite lacks: against the true values, in LiteRT."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taxiway.convert.compositions import COMPOSITIONS
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner

pytestmark = pytest.mark.slow

NAMES = {name: name.lower() for name in COMPOSITIONS}
WHERE = {
    "Acos": (-1, 1),
    "Acosh": (1, 50),
    "Asin": (-1, 1),
    "Atanh": (-0.9999, 0.9999),
    "Tan": (-1.2, 1.2),
}


def saved(op: str, folder: Path) -> Model:
    import tensorflow as tf

    function = getattr(tf.math, NAMES[op])
    serve = tf.function(
        lambda x: {"y": function(x) + 0.0, "z": tf.nn.relu(x)},
        input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")],
    )
    tf.saved_model.save(
        tf.Module(), str(folder / "saved"), signatures=serve.get_concrete_function()
    )
    return describe(folder / "saved", "saved_model")


def values_in_litert(op: str, x: Any, folder: Path, convert: Callable[..., Model]) -> Any:
    source = saved(op, folder)
    before = (source.path / "saved_model.pb").read_bytes()
    result = convert(source, "tflite")
    assert (source.path / "saved_model.pb").read_bytes() == before
    padded = np.resize(x, (-(-len(x) // 3), 3))
    return open_runner(result).predict({"x": padded})["y"].reshape(-1)[: len(x)]


def grid(low: float, high: float) -> Any:
    """Even steps, and powers down to where float32 ends."""
    tiny = np.geomspace(1e-30, 1, 2001)
    points = np.concatenate([np.linspace(low, high, 200_001), tiny, -tiny])
    points = points.astype(np.float32)
    return points[(points >= np.float32(low)) & (points <= np.float32(high))]


@pytest.mark.parametrize("op", sorted(set(COMPOSITIONS) - {"Erf"}))
def test_it_is_the_function(op: str, tmp_path: Path, convert: Callable[..., Model]) -> None:
    x = grid(*WHERE.get(op, (-8, 8)))
    found = values_in_litert(op, x, tmp_path, convert).astype(np.float64)
    function = getattr(math, NAMES[op])
    true = np.array([function(float(value)) for value in x])
    np.testing.assert_allclose(found, true, rtol=1e-6, atol=2e-7)


def test_erf_over_the_whole_axis(tmp_path: Path, convert: Callable[..., Model]) -> None:
    x = np.concatenate([grid(-6, 6), np.float32([1e3, 3e38, np.inf, -1e3, -3e38, -np.inf, np.nan])])
    found = values_in_litert("Erf", x, tmp_path, convert)
    true = np.array([math.erf(float(value)) for value in x])
    assert np.isnan(found[-1])
    error = np.abs(found[:-1].astype(np.float64) - true[:-1])
    assert error.max() <= 2e-7
    assert (error[true[:-1] != 0] / np.abs(true[true != 0][:-1])).max() <= 4 * 2**-24
    inner = grid(-6, 6)
    half = inner[inner > 0]
    both = values_in_litert("Erf", np.concatenate([half, -half]), tmp_path / "odd", convert)
    assert np.array_equal(both[: len(half)], -both[len(half) :])
    assert set(found[-7:-4]) == {1.0} and set(found[-4:-1]) == {-1.0}
