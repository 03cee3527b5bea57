"""How single outputs are judged: what noise may do, and what it may not excuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from taxiway.parity.compare import Observed, judge, pair
from taxiway.parity.deviation import Deviation, deviation, scale_of
from taxiway.parity.observe import leaves
from taxiway.parity.tolerance import PRECISIONS, Noise, between

FP32 = PRECISIONS["fp32"]
INT8 = PRECISIONS["int8"]
SEED = 7
ROUNDING = 2.0**-23


def of(values, noise: float | None = ROUNDING, flips: float = 0.0, name: str = "y") -> Observed:
    moved = None if noise is None else Deviation(noise, 2 * noise, 5 * noise)
    return Observed(name, np.asarray(values), Noise(perturbed=moved), flips)


def judged(a, b, precision=FP32, noise: float | None = ROUNDING, flips: float = 0.0):
    return judge(of(a, noise, flips), of(b), precision)


@pytest.fixture
def values():
    return np.random.default_rng(SEED).standard_normal((32, 16, 16, 8)).astype(np.float32)


def _dead_channel(a):
    a[..., 3] = 0


def _permuted_channels(a):
    a[..., [0, 1]] = a[..., [1, 0]]


def _off_by_one(a):
    a[:, :-1] = a[:, 1:].copy()


def _one_bad_sample(a):
    a[17] *= 1.00002


def _few_bad_elements(a):
    a[3, 2, 2, :3] += 1e-3


def _wrong_gain(a):
    a *= np.float32(1 + 5e-6)


@pytest.mark.parametrize(
    "fault",
    [
        _dead_channel,
        _permuted_channels,
        _off_by_one,
        _one_bad_sample,
        _few_bad_elements,
        _wrong_gain,
    ],
)
def test_a_fault_is_seen_wherever_it_is(values, fault) -> None:
    wrong = values.copy()
    fault(wrong)
    assert judged(values, values).equal
    found = judged(values, wrong)
    assert not found.equal
    assert found.excess > 1
    assert "times the tolerance" in found.fault


def test_rounding_passes(values) -> None:
    random = np.random.default_rng(SEED)
    rounded = values * (1 + random.uniform(-1, 1, values.shape) * 2 * ROUNDING)
    assert judged(values, rounded.astype(np.float32)).equal


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1.0, 1e6, 1e20])
def test_the_scale_of_an_output_does_not_matter(values, size: float) -> None:
    a = values.astype(np.float64) * size
    assert judged(a, a * (1 + 1e-7)).equal
    assert not judged(a, a * (1 + 1e-5)).equal


def test_noise_of_the_model_widens_the_limit_and_the_cap_ends_it(values) -> None:
    shifted = values * np.float32(1 + 1e-4)
    assert not judged(values, shifted).equal
    assert judged(values, shifted, noise=1e-4).equal
    assert not judged(values, values * 1.1, noise=1.0).equal


def test_kernels_widen_by_a_bounded_factor(values) -> None:
    wrong = values * np.float32(1 + 1e-4)
    both = Noise(perturbed=of(values).noise.perturbed, kernels=Deviation(1e-4, 1e-4, 1e-3))
    a = replace(of(values), noise=both)
    assert not judge(a, of(wrong), FP32).equal


@pytest.mark.parametrize(
    ("a", "b", "fault"),
    [
        pytest.param([[1.0, np.nan]], [[1.0, np.nan]], None, id="NaN at the same place"),
        pytest.param([[1.0, np.nan]], [[np.nan, 1.0]], "NaN or infinite", id="NaN elsewhere"),
        pytest.param([[1.0, np.inf]], [[1.0, -np.inf]], "NaN or infinite", id="sign of inf"),
        pytest.param([[1.0, 2.0]], [[1.0, np.inf]], "NaN or infinite", id="overflow"),
        pytest.param([[np.nan]], [[np.nan]], "proves nothing", id="nothing but NaN"),
        pytest.param([[-np.inf]], [[-np.inf]], None, id="nothing but infinities"),
        pytest.param(np.zeros((2, 3)), np.zeros((2, 3)), None, id="zero"),
        pytest.param(np.zeros((2, 3)), np.full((2, 3), 1e-8), None, id="noise on zero"),
        pytest.param(np.zeros((2, 3)), np.full((2, 3), 1e-3), "times", id="no zero"),
        pytest.param(np.float32(2.0), np.float32(2.0), None, id="scalar"),
        pytest.param(np.float32(2.0), np.float32(2.1), "times", id="wrong scalar"),
        pytest.param(np.zeros((0, 3)), np.zeros((0, 3)), None, id="empty"),
        pytest.param([[1 + 2j]], [[1 + 2j]], None, id="complex"),
        pytest.param([[1 + 2j]], [[1 - 2j]], "times", id="conjugate"),
        pytest.param(np.ones((2, 3)), np.ones((3, 2)), "shape", id="shape"),
        pytest.param(np.ones((2, 3)), np.ones((2, 3, 1)), None, id="an axis of 1 more"),
        pytest.param([1, 2, 3], [1, 2, 3], None, id="integers"),
        pytest.param([1, 2, 3], [1, 2, 4], "33.3 %", id="other integers"),
        pytest.param([1, 2], np.array([1, 2], np.int32), None, id="narrower integers"),
        pytest.param([True, False], [True, True], "50 %", id="booleans"),
        pytest.param(["a", "b"], np.array([b"a", b"b"]), None, id="text as bytes"),
        pytest.param(["a", "b"], ["a", "c"], "50 %", id="other text"),
        pytest.param(["1"], [1.0], "dtype", id="text against numbers"),
    ],
)
def test_special_outputs(a, b, fault: str | None) -> None:
    found = judged(a, b)
    assert found.equal == (fault is None), found.fault
    assert fault is None or fault in found.fault
    assert all(v == v for v in found.to_dict().values()), "a figure is NaN"


def test_channels_may_move_but_equal_shapes_are_never_reordered() -> None:
    a = np.random.default_rng(SEED).standard_normal((2, 5, 6, 3))
    assert judged(a, a.transpose(0, 3, 1, 2)).equal
    square = np.random.default_rng(SEED).standard_normal((2, 4, 4, 4))
    assert not judged(square, square.transpose(0, 3, 1, 2)).equal


@pytest.mark.parametrize(
    ("flips", "changed", "equal"),
    [(0.0, 0, True), (0.0, 2, False), (0.01, 2, True), (0.01, 30, False)],
)
def test_ties_of_an_argmax_may_turn_over_as_often_as_they_do_by_themselves(
    flips: float, changed: int, equal: bool
) -> None:
    a = np.arange(100)
    b = a.copy()
    b[:changed] += 1
    assert judged(a, b, flips=flips).equal == equal


def test_agreement_counts_only_flips_that_noise_cannot_make() -> None:
    a = np.array([[0.5, 0.5 - 1e-7], [0.9, 0.1]] * 8)
    b = a[:, ::-1].copy()
    b[1::2] = a[1::2]
    found = judged(a, b)
    assert found.equal
    assert found.agreement == 1.0
    b[1::2] = a[1::2, ::-1]
    assert judged(a, b).agreement == 0.5


@pytest.mark.parametrize(
    ("make", "equal"),
    [
        pytest.param(lambda a, r: a + 0.1 * r.standard_normal(a.shape), True, id="rounded"),
        pytest.param(lambda a, r: np.round(a * 8) / 8, True, id="a coarse grid"),
        pytest.param(lambda a, r: np.zeros_like(a), False, id="zero"),
        pytest.param(lambda a, r: np.broadcast_to(a.mean(0), a.shape), False, id="constant"),
        pytest.param(lambda a, r: r.permutation(a), False, id="other samples"),
        pytest.param(lambda a, r: -a, False, id="negated"),
        pytest.param(lambda a, r: np.clip(a, -0.1, 0.1), False, id="saturated"),
        pytest.param(lambda a, r: r.standard_normal(a.shape), False, id="garbage"),
    ],
)
def test_quantization_may_cost_something_but_garbage_is_none_of_it(make, equal: bool) -> None:
    random = np.random.default_rng(SEED)
    a = 0.5 + random.standard_normal((32, 10))
    b = make(a, random)
    assert judged(a, b, INT8, noise=0.02).equal == equal


@pytest.mark.parametrize("name", ["int8", "int16", "int4"])
def test_models_quantized_alike_must_agree_better(name) -> None:
    a = np.random.default_rng(SEED).standard_normal((32, 10))
    off = a + 0.05 * np.random.default_rng(1).standard_normal(a.shape)
    assert judged(a, off, between("fp32", name, one_runtime=True)).equal
    assert not judged(a, off, between(name, name, one_runtime=True)).equal
    assert not judged(a, off, between(name, name, one_runtime=False)).equal


finite = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=1, max_dims=4, max_side=5),
    elements=st.floats(-1e6, 1e6, width=32),
)


@given(finite)
def test_an_output_equals_itself(a) -> None:
    found = judged(a, a.copy())
    assert found.equal
    assert found.error == Deviation(0, 0, 0)


@given(finite, st.floats(1e-6, 1e6))
def test_the_error_does_not_depend_on_the_unit(a, unit: float) -> None:
    b = a + np.float32(0.1)
    big_a, big_b = a.astype(np.float64) * unit, b.astype(np.float64) * unit
    one = deviation(a, b, scale_of(a))
    other = deviation(big_a, big_b, scale_of(big_a))
    if scale_of(a) != 1.0 and scale_of(big_a) != 1.0:
        assert one.total == pytest.approx(other.total, rel=1e-6)


@given(finite)
def test_total_is_at_most_the_worst_sample_and_that_the_worst_element(a) -> None:
    found = deviation(a, np.roll(a, 1), scale_of(a))
    assert found.total <= found.sample * (1 + 1e-9)
    assert found.sample <= found.element * (1 + 1e-9)


@pytest.mark.parametrize(
    ("reference", "candidate", "expected"),
    [
        pytest.param("ab", "ba", "ab", id="by name"),
        pytest.param("ab", "xy", "xy", id="by position"),
        pytest.param("ab", "bx", "xb", id="by name first"),
    ],
)
def test_outputs_are_paired(reference: str, candidate: str, expected: str) -> None:
    sides = [[of(np.ones((2, 3)), name=n) for n in names] for names in (reference, candidate)]
    assert "".join(b.name for _, b in pair(*sides)) == expected


def test_made_up_names_count_the_outputs_in_the_order_of_their_names() -> None:
    shapes = {"contour": (2, 264), "note": (2, 88), "onset": (2, 88)}
    reference = [of(np.ones(shape), name=name) for name, shape in shapes.items()]
    made_up = {"P:2": (2, 88), "P:1": (2, 88), "P:0": (2, 264)}
    candidate = [of(np.ones(shape), name=name) for name, shape in made_up.items()]
    assert [b.name for _, b in pair(reference, candidate)] == ["P:0", "P:1", "P:2"]


def test_another_number_of_outputs_is_no_pairing() -> None:
    assert pair([of([1.0])], []) is None


def test_sequences_and_maps_are_taken_apart() -> None:
    scores = [{"cat": 0.1, "dog": 0.9}, {"cat": 0.4, "dog": 0.6}]
    found = leaves({"y": np.ones(2), "s": [np.ones(1), np.zeros(3)], "p": scores, "o": None})
    assert {name: array.tolist() for name, array in found.items()} == {
        "y": [1, 1],
        "s[0]": [1],
        "s[1]": [0, 0, 0],
        "p[cat]": [0.1, 0.4],
        "p[dog]": [0.9, 0.6],
        "o": [],
    }
