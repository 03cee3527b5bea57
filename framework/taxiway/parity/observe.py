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
    outputs = runner.predict(bound(model.signature, inputs))
    seen = [Observed(name, values) for name, values in outputs.items()]
    for variant in variants:
        if model.format == "tflite":
            # A streaming model keeps state from call to call: each run needs a fresh one.
            runner = open_runner(model)
        try:
            moved = runner.predict(bound(model.signature, variant))
        except StepError:
            # A shifted value may be none that the model takes, such as an index stored as float.
            break
        seen = [_moved(output, moved[output.name], "perturbed", precision) for output in seen]
    del runner
    gc.collect()
    return seen


def with_kernels(
    seen: Sequence[Observed], model: Model, inputs: Tensors, precision: Precision
) -> list[Observed]:
    """The same outputs, with how far they move in the runtime's plain kernels, if it has such."""
    try:
        runner = open_plain(model)
        moved = runner.predict(bound(model.signature, inputs)) if runner else None
    except StepError:
        # Not every model runs without the runtime's optimizations; then there is nothing to learn.
        moved = None
    if moved is None:
        return list(seen)
    return [_moved(output, moved[output.name], "kernels", precision) for output in seen]


def _moved(output: Observed, values: Array, source: str, precision: Precision) -> Observed:
    """`output` with what this run adds to its noise from `source`, a field of `Noise`."""
    base = output.values
    if base.shape != values.shape:
        return output
    if base.dtype.kind in "biuSUO":
        return replace(output, flips=max(output.flips, mismatch(base, values)))
    scale = spread_of(base) if precision.quantized else scale_of(base)
    before: Deviation = getattr(output.noise, source) or NONE
    worse = before.over(deviation(base, values, scale))
    return replace(output, noise=replace(output.noise, **{source: worse}))
