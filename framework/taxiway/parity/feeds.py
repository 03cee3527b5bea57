"""The same samples for two models: by their names, their order, their layouts and their batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model.inspect import UNKNOWN_RANK
from taxiway.model.layout import axes_to_file
from taxiway.model.model import Model, TensorSpec
from taxiway.model.runners.batching import fixed_batch

Array = np.ndarray[Any, Any]
SAMPLES = 4
"""Samples whose tensors are compared, where the models take any number."""
SEARCHED = 64
"""Samples among which those with the largest error are looked for."""


def assign(model: Model, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays under the model's own input names: by name, else by shape and order.

    Raises StepError where their number differs.
    """
    specs = model.signature.inputs
    if {spec.name for spec in specs} == set(inputs):
        return {spec.name: np.asarray(inputs[spec.name]) for spec in specs}
    if len(specs) != len(inputs):
        raise StepError(
            f"{model.path.name} takes inputs {', '.join(spec.name for spec in specs)}; "
            f"found {', '.join(inputs)}"
        )
    left = dict(inputs)
    found: dict[str, Array] = {}
    for spec in specs:
        fitting = [name for name in left if _fits(spec, np.shape(left[name]))] or list(left)
        name = spec.name if spec.name in fitting else fitting[0]
        found[spec.name] = np.asarray(left.pop(name))
    return found


def _fits(spec: TensorSpec, shape: tuple[int, ...]) -> bool:
    if spec.shape == UNKNOWN_RANK:
        return True
    return len(shape) == len(spec.shape) and all(
        isinstance(want, str) or want == have
        for want, have in zip(spec.shape[1:], shape[1:], strict=True)
    )


def batch_of(reference: Model, candidate: Model) -> int | None:
    """How many samples both models take at a time; None where any number."""
    sizes = {fixed_batch(model.signature) for model in (reference, candidate)} - {None}
    if len(sizes) > 1:
        raise StepError(
            f"{reference.path.name} and {candidate.path.name} take different numbers of samples "
            f"at a time ({', '.join(map(str, sorted(map(int, sizes))))})",  # type: ignore[arg-type]
            "convert one of them with the batch of the other",
        )
    return sizes.pop() if sizes else None


def feed(model: Model, arrays: Mapping[str, Array], rows: Array | None) -> dict[str, Array]:
    """Chosen samples, in the layout and the kind of number that the model takes.

    rows: their numbers; None for models without samples on the first axis: all that is there.
    """
    return {
        spec.name: _lay_out(spec, arrays[spec.name] if rows is None else arrays[spec.name][rows])
        for spec in model.signature.inputs
    }


def _lay_out(spec: TensorSpec, value: Array) -> Array:
    moved_axes = axes_to_file(spec)
    if moved_axes and value.ndim == len(moved_axes):
        value = value.transpose(moved_axes)
    if spec.shape != UNKNOWN_RANK and value.ndim >= 3 and not _fits(spec, value.shape):
        for moved in (np.moveaxis(value, -1, 1), np.moveaxis(value, 1, -1)):
            if _fits(spec, moved.shape):
                return np.ascontiguousarray(moved)
    if spec.quantized:
        return value.astype(np.float32)
    if spec.dtype == "str":
        return value.astype(object)
    try:
        return np.ascontiguousarray(value.astype(np.dtype(spec.dtype)))
    except TypeError:
        return value
