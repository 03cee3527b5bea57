"""Samples for two models: random ones that suit a signature, and bound by name, kind and layout."""

from __future__ import annotations

import numpy as np
import pytest

from taxiway.errors import StepError
from taxiway.model import Signature, TensorSpec
from taxiway.parity.perturb import perturbed
from taxiway.parity.samples import BATCH, bound, random_samples, with_content
from taxiway.parity.tolerance import PRECISIONS


def spec(name: str, dtype: str, *shape: int | str, **more) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape, **more)


def takes(*specs: TensorSpec) -> Signature:
    return Signature(inputs=specs, outputs=())


@pytest.mark.parametrize(
    ("given", "shape", "kind"),
    [
        pytest.param(spec("x", "float32", "batch", 8, 8, 3), (BATCH, 8, 8, 3), "f", id="image"),
        pytest.param(spec("x", "float16", 1, 5), (1, 5), "f", id="fixed batch"),
        pytest.param(spec("x", "bfloat16", "n", 5), (BATCH, 5), "f", id="bfloat16"),
        pytest.param(spec("ids", "int64", "batch", "sequence"), (BATCH, 16), "i", id="tokens"),
        pytest.param(spec("x", "uint8", "batch", 4), (BATCH, 4), "u", id="pixels"),
        pytest.param(spec("x", "bool", "batch"), (BATCH,), "b", id="booleans"),
        pytest.param(spec("x", "str", "batch", 1), (BATCH, 1), "O", id="text"),
        pytest.param(spec("x", "int64"), (), "i", id="scalar"),
        pytest.param(
            spec("x", "int8", "batch", 4, scale=0.5, zero_point=3), (BATCH, 4), "f", id="quantized"
        ),
    ],
)
def test_random_samples_suit_the_signature(given: TensorSpec, shape, kind: str) -> None:
    first, *_ = random_samples(takes(given), seed=0)
    array = first[given.name]
    assert np.shape(array) == shape
    assert np.asarray(array).dtype.kind == kind


def test_random_samples_are_those_of_the_seed() -> None:
    signature = takes(spec("x", "float32", "n", 4), spec("mask", "int64", "n", "s"))
    one, again, other = (next(random_samples(signature, seed)) for seed in (1, 1, 2))
    assert np.array_equal(one["x"], again["x"])
    assert not np.array_equal(one["x"], other["x"])
    assert set(np.unique(one["mask"])) <= {0, 1}
    assert one["mask"][:, 0].all(), "a row without any token"


X = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
IDS = np.arange(4).reshape(2, 2)


@pytest.mark.parametrize(
    ("specs", "samples", "expected"),
    [
        pytest.param(
            [spec("a", "float32", "n", 3, 2, 2)], {"z": X}, {"a": (2, 3, 2, 2)}, id="one, renamed"
        ),
        pytest.param(
            [spec("a", "float32", "n", 2, 2, 3)], {"a": X}, {"a": (2, 2, 2, 3)}, id="channels last"
        ),
        pytest.param(
            [spec("i", "int64", "n", 2), spec("f", "float32", "n", 3, 2, 2)],
            {"p": X, "q": IDS},
            {"i": (2, 2), "f": (2, 3, 2, 2)},
            id="by kind and shape",
        ),
        pytest.param(
            [spec("b", "int64", "n", 2), spec("a", "int64", "n", 2)],
            {"a": IDS, "b": IDS + 10},
            {"b": (2, 2), "a": (2, 2)},
            id="by name",
        ),
    ],
)
def test_samples_are_bound(specs, samples, expected) -> None:
    found = bound(takes(*specs), samples)
    assert {name: array.shape for name, array in found.items()} == expected
    for name in set(found) & set(samples):
        assert found[name].sum() == samples[name].sum()


def test_another_number_of_inputs_is_a_user_error() -> None:
    with pytest.raises(StepError, match="takes inputs a, b; the samples are x"):
        bound(takes(spec("a", "float32", "n"), spec("b", "float32", "n")), {"x": X})


@pytest.mark.parametrize("name", ["fp32", "fp16", "int8"])
def test_perturbed_inputs_are_off_by_a_unit_at_most(name) -> None:
    precision = PRECISIONS[name]
    draws = list(perturbed({"x": X, "ids": IDS}, precision, seed=0))
    assert len(draws) > 1
    size = np.abs(X) if not precision.grid else np.ptp(X) / 2
    for draw in draws:
        assert np.array_equal(draw["ids"], IDS)
        assert not np.array_equal(draw["x"], X)
        assert (np.abs(draw["x"] - X) <= size * (precision.unit + 2.0**-23)).all()


def test_integers_alone_are_not_perturbed() -> None:
    assert not list(perturbed({"ids": IDS}, PRECISIONS["fp32"], seed=0))


@pytest.mark.parametrize(
    ("samples", "left"),
    [
        ({"x": [[0, 0], [1, 2], [3, 3]]}, 1),
        ({"x": [[0, 0], [1, 1]]}, 2),
        ({"x": [[0, 0], [1, 2]], "state": [[5, 6], [7, 7]]}, 2),
        ({"x": [[0, 0], [1, 2]], "state": [[5, 5], [7, 7]]}, 1),
        ({"x": [[1], [2], [2]]}, 3),
        ({"x": [1, 2, 3]}, 3),
    ],
    ids=["one of three", "none", "another input", "no input", "single values", "no axis"],
)
def test_samples_without_content_prove_nothing(samples, left: int) -> None:
    found = with_content({name: np.array(rows, np.float32) for name, rows in samples.items()})
    assert {len(array) for array in found.values()} == {left}
