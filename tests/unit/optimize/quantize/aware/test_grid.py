"""Rounding against the TFLite 8-bit quantization specification."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

pytestmark = pytest.mark.slow

NUMBERS = st.floats(-1000, 1000, width=32, allow_subnormal=False)
WEIGHTS = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=6), elements=NUMBERS
)


def _weight(value: Any, channels: tuple[int, ...]) -> Any:
    import tensorflow as tf

    from taxiway.optimize.quantize.aware.grid import rounded_weight

    return rounded_weight(tf.constant(value), channels).numpy()


def _activation(value: Any, low: float, high: float) -> Any:
    import tensorflow as tf

    from taxiway.optimize.quantize.aware.grid import rounded_activation

    limits = tf.constant(low, tf.float32), tf.constant(high, tf.float32)
    return rounded_activation(tf.constant(value), *limits).numpy()


@settings(deadline=None, max_examples=60)
@given(value=WEIGHTS, per_channel=st.booleans())
def test_weights(value: Any, per_channel: bool) -> None:
    """int8 in -127..127, zero point 0, one scale per index of the last axis or one in all."""
    channels = (value.ndim - 1,) if per_channel else ()
    shown = _weight(value, channels)
    axes = tuple(range(value.ndim - 1)) if per_channel else None
    scale = np.abs(value).max(axis=axes, keepdims=True).astype(np.float64) / 127
    safe = np.where(scale > 0, scale, 1)
    stored = shown / safe
    np.testing.assert_allclose(stored, np.rint(stored), atol=1e-3)
    assert np.abs(stored).max() <= 127.001
    assert np.all(np.abs(shown - value) <= safe / 2 * 1.001 + 1e-30)
    assert np.all(shown[value == 0] == 0)


@settings(deadline=None, max_examples=30)
@given(value=WEIGHTS)
def test_weights_stay_where_they_are(value: Any) -> None:
    once = _weight(value, ())
    np.testing.assert_allclose(_weight(once, ()), once, rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    value=hnp.arrays(np.float32, 20, elements=NUMBERS),
    low=st.floats(-500, 0, width=32),
    high=st.floats(0, 500, width=32),
)
def test_activations(value: Any, low: float, high: float) -> None:
    """256 steps; 0.0 is one of them, for it is what padding and ReLU give."""
    from taxiway.optimize.quantize.aware.grid import SMALLEST

    shown = _activation(np.append(value, np.float32(0)), low, high)
    scale = (np.float64(high) - low) / 255
    if scale <= SMALLEST:
        return
    stored = shown / scale
    assert shown[-1] == 0
    np.testing.assert_allclose(stored, np.rint(stored), atol=2e-2)
    zero = np.clip(np.rint(-low / scale), 0, 255)
    assert (stored + zero).min() >= -0.02 and (stored + zero).max() <= 255.02
    inside = (value >= -zero * scale) & (value <= (255 - zero) * scale)
    assert np.all(np.abs(shown[:-1] - value)[inside] <= scale * 0.501)


@settings(deadline=None, max_examples=60)
@given(
    values=hnp.arrays(
        np.float32,
        st.integers(1, 128),
        elements=st.one_of(
            st.integers(-1000, 1000).map(float),
            st.floats(-0.125, 0.125, width=32).filter(lambda x: x == 0 or abs(x) > 1e-30),
        ),
    ),
    has_zero=st.booleans(),
)
def test_a_codebook_keeps_its_size(values: Any, has_zero: bool) -> None:
    """Distinct steps in the order of the values, within -127..127, zero at zero, the largest where it is."""
    import tensorflow as tf

    from taxiway.optimize.quantize.aware.grid import rounded_codebook

    zero = len(values) // 2 if has_zero else None
    if zero is not None:
        values[zero] = 0
    shown = rounded_codebook(tf.constant(values), zero).numpy()
    scale = np.abs(values).max() / 127 or 1
    stored = np.rint(shown / scale).astype(int)
    np.testing.assert_allclose(stored * scale, shown, rtol=1e-4, atol=1e-30)
    assert len({*stored}) == len(values) and np.abs(stored).max() <= 127
    assert np.all(np.diff(stored[np.argsort(values, kind="stable")]) > 0)
    assert zero is None or stored[zero] == 0
    if len({*np.rint(values / scale)}) == len(values) and zero is not None:
        np.testing.assert_array_equal(stored, np.rint(values / scale))


def test_as_tensorflow_does() -> None:
    """tf.quantization.fake_quant_with_min_max_vars is the same for ranges around zero."""
    import tensorflow as tf

    value = np.random.default_rng(0).normal(size=500).astype(np.float32) * 3
    for low, high in ((-2.0, 6.0), (0.0, 4.0), (-5.0, 0.5)):
        wanted = tf.quantization.fake_quant_with_min_max_vars(value, low, high).numpy()
        np.testing.assert_allclose(_activation(value, low, high), wanted, atol=1e-5)


def test_gradients_pass_rounding_and_end_at_the_limits() -> None:
    import tensorflow as tf

    from taxiway.optimize.quantize.aware.grid import rounded_activation, rounded_weight

    value = tf.constant([-9.0, -0.3, 0.4, 9.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(value)
        weight = rounded_weight(value)
        activation = rounded_activation(value, tf.constant(-1.0), tf.constant(1.0))
    assert tape.gradient(weight, value).numpy().tolist() == [1, 1, 1, 1]
    assert tape.gradient(activation, value).numpy().tolist() == [0, 1, 1, 0]


def test_an_empty_range_shows_all() -> None:
    value = np.array([-1.0, 0.5], np.float32)
    np.testing.assert_array_equal(_activation(value, 0.0, 0.0), value)
