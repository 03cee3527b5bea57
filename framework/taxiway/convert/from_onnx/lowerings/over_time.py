"""A cell applied step by step along the first axis of a tensor, in what TFLite has builtins for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Cell = Callable[[Any, Sequence[Any]], list[Any]]
"""`cell(x, states)`: one step's input [batch, n] and the states [batch, m] before it; gives the states
after it, whose first is the output."""

LIMIT = 256
"""Steps up to which the cell is written out once for each; from there on, and where the number is not
known before the model runs, it is one loop."""


def over_time(
    cell: Cell, x: Any, states: Sequence[Any], *, backward: bool, lengths: Any
) -> tuple[Any, list[Any]]:
    """The outputs [time, batch, m] in the order of `x` [time, batch, n], and the states at the end.

    lengths: int32 [batch], None where every sequence fills the time axis. Beyond its length a sequence
    keeps its states and gives zeros, in either direction.
    """
    steps = x.shape[0]
    if steps is None or steps > LIMIT:
        return _looped(cell, x, list(states), backward, lengths)
    return _unrolled(cell, x, list(states), backward, lengths)


def _unrolled(
    cell: Cell, x: Any, states: list[Any], backward: bool, lengths: Any
) -> tuple[Any, list[Any]]:
    import tensorflow as tf

    columns = tf.unstack(x, axis=0)
    outputs = [None] * len(columns)
    for at in reversed(range(len(columns))) if backward else range(len(columns)):
        outputs[at], states = _step(cell, columns[at], states, at, lengths)
    return tf.stack(outputs), states


def _looped(
    cell: Cell, x: Any, states: list[Any], backward: bool, lengths: Any
) -> tuple[Any, list[Any]]:
    """The outputs grow by concatenation: TFLite has no TensorArray of free element shapes."""
    import tensorflow as tf

    steps = tf.shape(x)[0]

    def body(count: Any, outputs: Any, *before: Any) -> list[Any]:
        at = steps - 1 - count if backward else count
        output, after = _step(cell, tf.gather(x, at), list(before), at, lengths)
        pair = [output[None], outputs] if backward else [outputs, output[None]]
        return [count + 1, tf.concat(pair, 0), *after]

    # A row that is cut off again: LiteRT 2.3 loses a loop's tensor that has none.
    start = states[0][None]
    free = [tf.TensorShape([None, state.shape[-1]]) for state in states]
    _, outputs, *states = tf.while_loop(
        lambda count, *_: count < steps,
        body,
        [tf.constant(0), start, *states],
        [tf.TensorShape([]), tf.TensorShape([None, *free[0]]), *free],
    )
    return (outputs[:-1] if backward else outputs[1:]), list(states)


def _step(
    cell: Cell, x: Any, before: Sequence[Any], at: Any, lengths: Any
) -> tuple[Any, list[Any]]:
    import tensorflow as tf

    after = cell(x, before)
    if lengths is None:
        return after[0], after
    inside = (at < lengths)[:, None]
    kept = [tf.where(inside, new, old) for new, old in zip(after, before, strict=True)]
    return tf.where(inside, after[0], tf.zeros_like(after[0])), kept
