"""Limits by precision: a multiple of the measured noise, with a floor and a cap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.parity.deviation import Deviation
from taxiway.parity.tolerance import PRECISIONS, Noise, between, limits

NAMES = [*PRECISIONS]
sizes = st.floats(0, 10)


def spread(total: float) -> Deviation:
    return Deviation(total, 2 * total, 5 * total)


@pytest.mark.parametrize("name", NAMES)
def test_no_noise_gives_the_floor_and_much_the_cap(name) -> None:
    precision = PRECISIONS[name]
    assert limits(precision, Noise()).total == precision.unmeasured
    assert limits(precision, Noise(perturbed=spread(10.0))).total == precision.cap
    known = limits(precision, Noise(perturbed=spread(precision.unit)))
    assert precision.floor <= known.total <= precision.cap


@given(st.sampled_from(NAMES), sizes, sizes, sizes)
def test_more_noise_never_narrows_a_limit(name, small: float, more: float, kernels: float) -> None:
    precision = PRECISIONS[name]
    # From noise that is seen at all: below that the floor for an unmeasured model holds.
    small = max(small, precision.unit)
    one = limits(precision, Noise(spread(small), spread(kernels)))
    other = limits(precision, Noise(spread(small + more), spread(kernels)))
    assert one <= other


@given(st.sampled_from(NAMES), sizes, sizes)
def test_a_limit_stays_between_floor_and_cap(name, perturbed: float, kernels: float) -> None:
    precision = PRECISIONS[name]
    found = limits(precision, Noise(spread(perturbed), spread(kernels)))
    assert precision.floor <= found.total <= precision.cap
    assert found.total <= found.sample


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_of_ones_own_is_taken(name) -> None:
    assert limits(PRECISIONS[name], Noise(spread(1.0)), given=1e-4).total == 1e-4


@pytest.mark.parametrize("a", NAMES)
@pytest.mark.parametrize("b", NAMES)
def test_models_are_compared_in_the_coarser_precision(a, b) -> None:
    found = between(a, b, one_runtime=True)
    assert found.name == max(a, b, key=NAMES.index) == between(b, a, one_runtime=True).name
    assert found.rounds == (a != b and found.quantized)
