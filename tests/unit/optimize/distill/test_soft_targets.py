"""The teacher's part of the loss: what a divergence must be, whatever form the outputs have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from taxiway.optimize.distill.soft_targets import SoftTarget, logits

pytestmark = pytest.mark.slow
scores = hnp.arrays(np.float32, (3, 4), elements=st.floats(-20, 20, width=32))
temperatures = st.sampled_from([1.0, 2.0, 10.0])
KINDS = ["softmax", "sigmoid", "values"]


def of_logits(kind: str) -> Any:
    return SoftTarget(0, "none", kind)


def loss(target: Any, ours: Any, theirs: Any, temperature: float = 1.0) -> Any:
    import tensorflow as tf

    said = target.said([tf.constant(theirs)])
    return target.loss([tf.constant(ours)], said, temperature).numpy()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(ours=scores, theirs=scores, temperature=temperatures)
def test_it_is_a_divergence(kind: str, ours: Any, theirs: Any, temperature: float) -> None:
    """Never negative, and nothing where both say the same."""
    target = of_logits(kind)
    assert (loss(target, ours, theirs, temperature) >= -1e-3).all()
    np.testing.assert_allclose(loss(target, theirs, theirs, temperature), 0, atol=1e-3)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@settings(max_examples=30, deadline=None)
@given(scores, temperatures)
def test_probabilities_say_what_their_logits_say(
    kind: str, theirs: Any, temperature: float
) -> None:
    import tensorflow as tf

    squash = tf.nn.softmax if kind == "softmax" else tf.sigmoid
    theirs = np.clip(theirs, -12, 12)
    ours = np.flip(theirs, axis=1).copy()
    plain = loss(of_logits(kind), ours, theirs, temperature)
    squashed = loss(
        SoftTarget(0, kind, kind), squash(ours).numpy(), squash(theirs).numpy(), temperature
    )
    np.testing.assert_allclose(squashed, plain, rtol=2e-2, atol=1e-3)


def test_it_is_that_of_hinton() -> None:
    """By hand: T^2 * KL(softmax(t / T) || softmax(s / T))."""
    theirs, ours = np.float32([[2, 0, -1]]), np.float32([[0, 1, 0]])
    p, q = (np.exp(x / 3) / np.exp(x / 3).sum() for x in (theirs, ours))
    expected = 9 * (p * np.log(p / q)).sum()
    np.testing.assert_allclose(loss(of_logits("softmax"), ours, theirs, 3.0), expected, rtol=1e-5)


def test_the_gradient_hardly_depends_on_a_high_temperature() -> None:
    import tensorflow as tf

    theirs, ours = tf.constant([[2.0, 0, -1]]), tf.Variable([[0.0, 1, 0]])
    sizes = []
    for temperature in (20.0, 80.0):
        with tf.GradientTape() as tape:
            value = of_logits("softmax").loss([ours], theirs, temperature)
        sizes.append(float(tf.norm(tape.gradient(value, ours))))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_logits_come_from_before_the_activation() -> None:
    """A probability of 0 in float32 still says how small it is."""
    import tensorflow as tf

    @tf.function
    def before(x: Any) -> Any:
        return logits(tf.nn.softmax(x), "softmax"), logits(tf.sigmoid(x), "sigmoid")

    wide = np.float32([[300, 0, -300]])
    for found in before(wide):
        np.testing.assert_array_equal(found, wide)
    assert np.isfinite(logits(tf.nn.softmax(wide), "softmax")).all()
    assert np.isfinite(logits(tf.sigmoid(wide), "sigmoid")).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_guess_is_the_mean(kind: str) -> None:
    """It loses less than any other constant at temperature 1."""
    import tensorflow as tf

    theirs = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    target = of_logits(kind)

    def lost(guess: Any) -> float:
        return float(loss(target, np.repeat(guess, 50, axis=0), theirs).mean())

    guess = target.guess(theirs)
    best = lost(guess)
    assert guess.shape == (1, 4)
    for at in range(4):
        assert best < lost(guess + tf.one_hot([at], 4).numpy() * 0.2)
