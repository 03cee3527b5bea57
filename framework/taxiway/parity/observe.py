"""Runs a model on the samples, and again on what differs by nothing: its outputs and their noise."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.runners import Runner, open_runner
from taxiway.model.runners.kernels import open_plain
from taxiway.parity.compare import Observed
from taxiway.parity.deviation import NONE, Deviation, deviation, mismatch, scale_of, spread_of
from taxiway.parity.samples import bound
from taxiway.parity.tolerance import Precision

Array = np.ndarray[Any, Any]
Tensors = Mapping[str, Array]
Open = Callable[[Model], Runner | None]


def observe(
    model: Model, inputs: Tensors, variants: Iterable[Tensors], precision: Precision
) -> list[Observed]:
    """The outputs on `inputs`, with how far they move on `variants` of them.

    One runner is open at a time; of the variants only the errors are kept. Raises StepError where
    the model cannot be loaded or fails on `inputs`.
    """
    runner = open_runner(model)
    outputs = leaves(runner.predict(bound(model.signature, inputs)))
    seen = [Observed(name, values) for name, values in outputs.items()]
    for variant in variants:
        if model.format == "tflite":
            # A streaming model keeps state from call to call: each run needs a fresh one.
            runner = open_runner(model)
        try:
            moved = leaves(runner.predict(bound(model.signature, variant)))
        except StepError:
            # A shifted value may be none that the model takes, such as an index stored as float.
            break
        seen = [_moved(output, moved, "perturbed", precision) for output in seen]
    del runner
    gc.collect()
    return seen


def with_kernels(
    seen: Sequence[Observed], model: Model, inputs: Tensors, precision: Precision
) -> list[Observed]:
    """The same outputs, with how far they move in the runtime's plain kernels, if it has such."""
    try:
        runner = open_plain(model)
        moved = leaves(runner.predict(bound(model.signature, inputs))) if runner else None
    except StepError:
        # Not every model runs without the runtime's optimizations; then there is nothing to learn.
        moved = None
    if moved is None:
        return list(seen)
    return [_moved(output, moved, "kernels", precision) for output in seen]


def _moved(output: Observed, moved: Tensors, source: str, precision: Precision) -> Observed:
    """`output` with what this run adds to its noise from `source`, a field of `Noise`."""
    base, values = output.values, moved.get(output.name)
    if values is None or base.shape != values.shape:
        return output
    if base.dtype.kind in "biuSUO":
        return replace(output, flips=max(output.flips, mismatch(base, values)))
    scale = spread_of(base) if precision.quantized else scale_of(base)
    before: Deviation = getattr(output.noise, source) or NONE
    worse = before.over(deviation(base, values, scale))
    return replace(output, noise=replace(output.noise, **{source: worse}))


def leaves(outputs: Mapping[str, Any]) -> dict[str, Array]:
    """Every array in the outputs: a sequence gives one for each item, a map one for each key.

    A sequence of maps, as scikit-learn's classifiers give class probabilities, becomes one array
    `[n]` for each key.
    """
    found: dict[str, Array] = {}
    for name, value in outputs.items():
        found |= _leaves(name, value)
    return found


def _leaves(name: str, value: Any) -> dict[str, Array]:
    if isinstance(value, Mapping):
        return leaves({f"{name}[{key}]": item for key, item in value.items()})
    if isinstance(value, list | tuple):
        if value and all(
            isinstance(item, Mapping) and item.keys() == value[0].keys() for item in value
        ):
            columns = {key: [item[key] for item in value] for key in value[0]}
            return {f"{name}[{key}]": np.asarray(column) for key, column in columns.items()}
        return leaves({f"{name}[{at}]": item for at, item in enumerate(value)})
    return {name: np.zeros(0) if value is None else np.asarray(value)}
