"""The activation functions that ONNX's recurrent operators name in an attribute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from taxiway.convert.from_onnx.lowerings.operation import NotKnown, Operation

Activation = Callable[[Any], Any]


def _elu(tf: Any, x: Any, a: float, b: float) -> Any:
    return tf.nn.elu(x) if a == 1 else tf.where(x < 0, a * (tf.exp(x) - 1), x)


def _leaky(tf: Any, x: Any, a: float, b: float) -> Any:
    return tf.nn.leaky_relu(x, a)


_FORMS: dict[str, tuple[Callable[[Any, Any, float, float], Any], tuple[float, ...]]] = {
    "affine": (lambda tf, x, a, b: a * x + b, (1.0, 0.0)),
    "elu": (_elu, (1.0,)),
    "hardsigmoid": (lambda tf, x, a, b: tf.clip_by_value(a * x + b, 0, 1), (0.2, 0.5)),
    "leakyrelu": (_leaky, (0.01,)),
    "relu": (lambda tf, x, a, b: tf.nn.relu(x), ()),
    "scaledtanh": (lambda tf, x, a, b: a * tf.tanh(b * x), (1.0, 1.0)),
    "sigmoid": (lambda tf, x, a, b: tf.sigmoid(x), ()),
    "softplus": (lambda tf, x, a, b: tf.nn.relu(x) + tf.math.log(1 + tf.exp(-tf.abs(x))), ()),
    "softsign": (lambda tf, x, a, b: x / (1 + tf.abs(x)), ()),
    "tanh": (lambda tf, x, a, b: tf.tanh(x), ()),
    "thresholdedrelu": (lambda tf, x, a, b: tf.where(x > a, x, tf.zeros_like(x)), (1.0,)),
}
"""Name -> the function of x, alpha and beta, and the defaults of those that it has."""


def activations(
    operation: Operation, defaults: Sequence[str], directions: int
) -> list[list[Activation]]:
    """For each direction the functions in the order of `defaults`, which stand where the node names none.

    activation_alpha and activation_beta are used up in order by the functions that have them
    (onnxruntime/core/providers/cpu/rnn/rnn_helpers.cc). `clip` bounds what goes into each but the third,
    which ONNX Runtime leaves alone: it works on an LSTM's cell. Raises NotKnown for a name that ONNX does
    not list.
    """
    named = [name.decode() for name in operation.attribute("activations", [])]
    names = named or [*defaults] * directions
    alphas = iter(operation.attribute("activation_alpha", []))
    betas = iter(operation.attribute("activation_beta", []))
    clip = operation.attribute("clip", None)
    found = [
        _activation(name.lower(), alphas, betas, clip if at % len(defaults) < 2 else None)
        for at, name in enumerate(names)
    ]
    if len(found) != len(defaults) * directions:
        raise NotKnown(f"{len(found)} activations")
    return [found[at : at + len(defaults)] for at in range(0, len(found), len(defaults))]


def _activation(
    name: str, alphas: Iterator[float], betas: Iterator[float], clip: float | None
) -> Activation:
    import tensorflow as tf

    if name not in _FORMS:
        raise NotKnown(f"the activation {name}")
    form, defaults = _FORMS[name]
    alpha = next(alphas, defaults[0]) if defaults else 0.0
    beta = next(betas, defaults[1]) if len(defaults) > 1 else 0.0

    def apply(x: Any) -> Any:
        return form(tf, x if clip is None else tf.clip_by_value(x, -clip, clip), alpha, beta)

    return apply
