"""LSTM, GRU and RNN out of plain operators, so that a batch that is free stays free in TFLite.

The equations are those of https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html and onnx__RNN.html.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from taxiway.convert.from_onnx.lowerings.activations import Activation, activations
from taxiway.convert.from_onnx.lowerings.operation import Lowering, NotKnown, Operation
from taxiway.convert.from_onnx.lowerings.over_time import Cell, over_time

_DIRECTIONS = {b"forward": (False,), b"reverse": (True,), b"bidirectional": (False, True)}


@dataclass(frozen=True)
class Weights:
    """Those of one direction, for n inputs, m units and g gates.

    input: [n, g*m]. state: [m, g*m]. input_bias, state_bias: [g*m]. peepholes: [3*m] or None.
    functions: the activations.
    """

    input: Any
    state: Any
    input_bias: Any
    state_bias: Any
    peepholes: Any
    functions: Sequence[Activation]


MakeCell = Callable[[Operation, Weights], tuple[Any, Cell]]
"""Gives the bias to add to the inputs of all steps at once, and the cell that takes their sum."""


def _recurrent(gates: int, states: int, defaults: Sequence[str], make: MakeCell) -> Lowering:
    """states: how many tensors go from step to step; the inputs from 5 on are their first values."""

    def lower(operation: Operation) -> list[Any]:
        import tensorflow as tf

        if operation.attribute("layout", 0):
            # ONNX Runtime's CPU kernels refuse it, too, so that there is nothing to compare with.
            raise NotKnown("the batch as the first axis")
        backwards = _DIRECTIONS[operation.attribute("direction", b"forward").lower()]
        functions = activations(operation, defaults, len(backwards))
        x, lengths = operation.inputs[0], operation.input(4)
        lengths = None if lengths is None else tf.cast(lengths, tf.int32)
        outputs, ends = [], []
        for at, backward in enumerate(backwards):
            weights = _weights(operation, gates, at, functions[at])
            bias, cell = make(operation, weights)
            units = weights.state.shape[0]
            first = [_first(operation.input(5 + number), at, x, units) for number in range(states)]
            summed = _projected(x, weights.input, bias)
            output, end = over_time(cell, summed, first, backward=backward, lengths=lengths)
            outputs.append(output)
            ends.append(end)
        results = [tf.stack(outputs, 1), *(tf.stack(column) for column in zip(*ends, strict=True))]
        return results[: operation.outputs]

    return lower


def _weights(operation: Operation, gates: int, at: int, functions: Sequence[Activation]) -> Weights:
    import numpy as np
    import tensorflow as tf

    w, r = operation.inputs[1][at], operation.inputs[2][at]
    width = r.shape[0]
    if width is None or r.shape[1] is None:
        raise NotKnown("weights of unknown shape")
    b = operation.input(3)
    bias = np.zeros(2 * width, np.float32) if b is None else b[at]
    peepholes = operation.input(7) if gates == 4 else None
    return Weights(
        input=tf.transpose(tf.convert_to_tensor(w)) if not isinstance(w, np.ndarray) else w.T,
        state=tf.transpose(tf.convert_to_tensor(r)) if not isinstance(r, np.ndarray) else r.T,
        input_bias=bias[:width],
        state_bias=bias[width:],
        peepholes=None if peepholes is None else peepholes[at],
        functions=functions,
    )


def _first(given: Any, at: int, x: Any, units: int) -> Any:
    """The state before the first step, [batch, units]: zeros where the node has none."""
    import tensorflow as tf

    if given is not None:
        return tf.convert_to_tensor(given[at])
    batch = x.shape[1] if x.shape[1] is not None else tf.shape(x)[1]
    return tf.zeros(tf.stack([batch, units]), x.dtype)


def _projected(x: Any, weights: Any, bias: Any) -> Any:
    """The inputs of all steps by the weights at once, as one matrix."""
    import tensorflow as tf

    steps, batch, width = tf.unstack(tf.shape(x))
    steps, batch = (x.shape[0] or steps), (x.shape[1] or batch)
    size = weights.shape[0] if weights.shape[0] is not None else width
    flat = tf.matmul(tf.reshape(x, tf.stack([-1, size])), weights) + bias
    if x.shape[0] is not None:
        return tf.reshape(flat, [x.shape[0], -1, weights.shape[1]])
    return tf.reshape(flat, tf.stack([steps, batch, weights.shape[1]]))


def _lstm(operation: Operation, weights: Weights) -> tuple[Any, Cell]:
    """Gates in the order input, output, forget, cell; with peepholes, and with one gate for input and
    forget where the node says so."""
    import tensorflow as tf

    f, g, h = weights.functions
    peepholes = weights.peepholes
    coupled = operation.attribute("input_forget", 0)
    pi, po, pf = (0, 0, 0) if peepholes is None else tf.split(peepholes, 3)

    def look(gate: Any, peephole: Any, cell: Any) -> Any:
        return gate if peepholes is None else gate + peephole * cell

    def step(x: Any, states: Sequence[Any]) -> list[Any]:
        hidden, cell = states
        i, o, forget, c = tf.split(x + tf.matmul(hidden, weights.state), 4, axis=-1)
        i = f(look(i, pi, cell))
        kept = 1 - i if coupled else f(look(forget, pf, cell))
        cell = kept * cell + i * g(c)
        return [f(look(o, po, cell)) * h(cell), cell]

    return weights.input_bias + weights.state_bias, step


def _gru(operation: Operation, weights: Weights) -> tuple[Any, Cell]:
    """Gates in the order update, reset, hidden. linear_before_reset: the reset gate works on the state
    after its weights and bias, not before."""
    import tensorflow as tf

    f, g = weights.functions
    units = weights.state.shape[0]
    after = operation.attribute("linear_before_reset", 0)
    gates, new = weights.state[:, : 2 * units], weights.state[:, 2 * units :]
    gate_bias, new_bias = weights.state_bias[: 2 * units], weights.state_bias[2 * units :]

    def step(x: Any, states: Sequence[Any]) -> list[Any]:
        (hidden,) = states
        if after:
            z, r, n = tf.split(tf.matmul(hidden, weights.state), 3, axis=-1)
        else:
            z, r = tf.split(tf.matmul(hidden, gates), 2, axis=-1)
        xz, xr, xn = tf.split(x, 3, axis=-1)
        z, r = f(xz + z), f(xr + r)
        n = r * (n + new_bias) if after else tf.matmul(r * hidden, new)
        return [(1 - z) * g(xn + n) + z * hidden]

    zero = tf.zeros_like(new_bias)
    bias = weights.input_bias + tf.concat([gate_bias, zero if after else new_bias], 0)
    return bias, step


def _rnn(operation: Operation, weights: Weights) -> tuple[Any, Cell]:
    import tensorflow as tf

    (f,) = weights.functions

    def step(x: Any, states: Sequence[Any]) -> list[Any]:
        return [f(x + tf.matmul(states[0], weights.state))]

    return weights.input_bias + weights.state_bias, step


LOWERINGS: dict[str, Lowering] = {
    "GRU": _recurrent(3, 1, ("sigmoid", "tanh"), _gru),
    "LSTM": _recurrent(4, 2, ("sigmoid", "tanh", "tanh"), _lstm),
    "RNN": _recurrent(1, 1, ("tanh",), _rnn),
}
