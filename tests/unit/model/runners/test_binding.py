from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.errors import StepError
from taxiway.model import Signature, TensorSpec
from taxiway.model.runners.binding import bind, restore, store


def spec(dtype: str, shape: tuple[int | str, ...] = ("batch",), **quantization: Any) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=shape, **quantization)


@given(
    st.floats(1e-3, 10),
    st.integers(-128, 127),
    st.lists(st.floats(-1000, 1000), min_size=1, max_size=20),
)
def test_quantization_is_within_half_a_step(scale: float, zero: int, values: list[float]) -> None:
    tensor = spec("int8", scale=scale, zero_point=zero)
    low, high = scale * (-128 - zero), scale * (127 - zero)
    real = np.clip(np.array(values, "f4"), low, high)
    back = restore(tensor, store(tensor, real))
    assert np.abs(back - real).max() <= scale * 0.5001 + 1e-5 * np.abs(real).max()


def test_halves_go_to_even_and_ends_are_clipped() -> None:
    tensor = spec("uint8", scale=2.0, zero_point=128)
    stored = store(tensor, np.array([1.0, 3.0, -1.0, 1e9, -1e9]))
    assert stored.tolist() == [128, 130, 128, 255, 0]
    assert stored.dtype == np.uint8


@pytest.mark.parametrize(
    ("dtype", "values", "stored"),
    [
        ("float32", np.array([1, 2], "i8"), "float32"),
        ("float16", np.array([1.5]), "float16"),
        ("int32", np.array([1, 2], "i8"), "int32"),
        ("uint8", np.array([255], "i4"), "uint8"),
        ("bool", np.array([True]), "bool"),
        ("str", np.array(["a", "b"]), "object"),
        ("bfloat16", np.array([1.5], "f4"), "bfloat16"),
    ],
)
def test_stored_dtype(dtype: str, values: Any, stored: str) -> None:
    assert store(spec(dtype), values).dtype.name == stored


@pytest.mark.parametrize(
    ("dtype", "values", "said"),
    [
        ("int32", np.array([1.5]), "dtype float64, expected integers"),
        ("int8", np.array([1, 300]), "values from 1 to 300, which do not fit int8"),
        ("bool", np.array([1]), "expected booleans"),
        ("float32", np.array(["a"]), "expected real numbers"),
        ("float32", np.array([1j]), "expected real numbers"),
        ("str", np.array([1.0]), "expected text"),
    ],
)
def test_wrong_kind(dtype: str, values: Any, said: str) -> None:
    with pytest.raises(StepError, match=said):
        store(spec(dtype), values)


def test_bind_by_name_or_position() -> None:
    one = Signature(inputs=(spec("float32"),), outputs=())
    assert list(bind(one, {"other": np.zeros(1)})) == ["x"]
    second = TensorSpec(name="y", dtype="int32", shape=("batch",))
    two = Signature(inputs=(spec("float32"), second), outputs=())
    assert list(bind(two, {"y": np.zeros(1), "x": np.zeros(1)})) == ["x", "y"]
    with pytest.raises(StepError, match="the model takes inputs x, y; found x, z"):
        bind(two, {"x": np.zeros(1), "z": np.zeros(1)})


@pytest.mark.parametrize("samples", [True, False], ids=["a batch", "samples of a model without"])
def test_a_moved_tensor_takes_and_gives_the_order_of_the_data(samples: bool) -> None:
    lead: tuple[int | str, ...] = ("batch",)
    spec = TensorSpec(name="x", dtype="float32", shape=(*lead, 3, 4, 5), layout="nchw")
    data = np.arange(2 * 4 * 5 * 3, dtype="f4").reshape(2, 4, 5, 3)
    given = data if samples else data[None]
    bound = bind(Signature(inputs=(spec,), outputs=()), {"x": given})["x"]
    assert bound.shape == ((2, 3, 4, 5) if samples else (1, 2, 3, 4, 5))
    assert np.array_equal(restore(spec, bound), given)


def test_a_value_that_is_no_tensor_passes_as_it_is() -> None:
    spec = TensorSpec(name="x", dtype="sequence(float32)", shape=("...",))
    values = [np.zeros(2), np.zeros(3)]
    bound = bind(Signature(inputs=(spec,), outputs=()), {"x": values})["x"]
    assert store(spec, bound) is values and restore(spec, values) is values


def test_a_scalar_stays_one() -> None:
    spec = TensorSpec(name="x", dtype="float32", shape=())
    assert store(spec, np.array(2.0)).shape == ()
