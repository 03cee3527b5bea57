from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from taxiway.errors import StepError
from taxiway.model import Signature, TensorSpec
from taxiway.model.runners.batching import fixed_batch, predict

Shape = tuple[int | str, ...]


def signature(*inputs: Shape, output: Shape = ("batch",)) -> Signature:
    specs = [TensorSpec(name=f"x{i}", dtype="float32", shape=s) for i, s in enumerate(inputs)]
    return Signature(
        inputs=tuple(specs), outputs=(TensorSpec(name="y", dtype="float32", shape=output),)
    )


@pytest.mark.parametrize(
    ("inputs", "batch"),
    [
        ([("batch", 3)], None),
        ([(1, 3)], 1),
        ([(4, 3), (4,)], 4),
        ([(4, 3), (2, 3)], None),
        ([("batch", 3), (2, 3), ()], None),
        ([()], None),
    ],
    ids=str,
)
def test_fixed_batch(inputs: list[Shape], batch: int | None) -> None:
    assert fixed_batch(signature(*inputs)) == batch


@pytest.mark.parametrize("n", [1, 2, 4, 5, 9])
def test_pieces_are_padded_and_cut(n: int) -> None:
    sizes: list[int] = []

    def invoke(stored: dict[str, Any]) -> list[Any]:
        sizes.append(len(stored["x0"]))
        return [stored["x0"].sum(axis=1)]

    x = np.arange(n * 3, dtype="f4").reshape(n, 3)
    outputs = predict(signature((4, 3)), invoke, {"x": x}, 4)
    assert np.array_equal(outputs["y"], x.sum(axis=1))
    assert set(sizes) == {4}


def test_a_model_without_batch_axis_is_called_per_sample() -> None:
    x = np.arange(12, dtype="f4").reshape(3, 4)
    outputs = predict(signature((4,), output=()), lambda s: [s["x0"].sum()], {"x": x}, 4)
    assert outputs["y"].tolist() == x.sum(axis=1).tolist()


def test_inputs_that_fit_exactly_go_in_one_call() -> None:
    """Such as a recurrent model's sample, state with the batch on axis 1, and sampling rate."""
    inputs = {"x0": np.ones((2, 5)), "x1": np.ones((2, 2, 3)), "x2": np.array(16000)}
    model = signature(("batch", "samples"), (2, "batch", 3), ())
    outputs = predict(model, lambda s: [s["x0"].sum(1) * s["x2"]], inputs, fixed_batch(model))
    assert outputs["y"].tolist() == [80000, 80000]


def broken(stored: dict[str, Any]) -> list[Any]:
    raise ValueError("bad graph")


@pytest.mark.parametrize(
    ("inputs", "batch", "invoke", "said"),
    [
        (
            {"x": np.zeros((3, 2))},
            1,
            None,
            r"'x0' has shape \[3, 2\], expected x0: float32\[1, 3\]",
        ),
        ({"x": np.zeros((3, 3, 3, 3))}, 1, None, r"shape \[3, 3, 3, 3\]"),
        ({"x": np.zeros((0, 3))}, 1, None, "no sample"),
        ({"x": np.zeros((2, 3))}, 1, lambda s: [np.zeros(7)], r"'y' has shape \[7\]"),
        ({"x": np.zeros((1, 3))}, 1, broken, r"failed on x0\[1, 3\]: bad graph"),
    ],
    ids=["axis", "rank", "empty", "no-batch-in-output", "runtime"],
)
def test_errors(
    inputs: dict[str, Any], batch: int, invoke: Callable[..., Any] | None, said: str
) -> None:
    with pytest.raises(StepError, match=said):
        predict(signature((1, 3)), invoke or (lambda s: [s["x0"][:, 0]]), inputs, batch)


def test_inputs_of_different_lengths() -> None:
    inputs = {"x0": np.zeros((2, 3)), "x1": np.zeros((3, 3))}
    with pytest.raises(StepError, match="differ in their number of samples"):
        predict(signature((1, 3), (1, 3)), lambda s: [s["x0"]], inputs, 1)
