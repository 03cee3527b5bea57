"""Any number of samples through a model with a free, a fixed or no batch axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from taxiway.errors import StepError, TaxiwayError
from taxiway.model.inspect import UNKNOWN_RANK
from taxiway.model.model import Signature
from taxiway.model.runners.binding import bind, check_shape, restore, store
from taxiway.model.runners.failures import failure

Array = np.ndarray[Any, Any]
Invoke = Callable[[dict[str, Array]], Sequence[Array]]
"""One call of the runtime: stored inputs by name -> stored outputs in the signature's order."""


def fixed_batch(signature: Signature) -> int | None:
    """The batch size that the model insists on; None where axis 0 of an input is free, or where an
    input has no batch: a sequence, or an axis of no elements."""
    sizes = {spec.shape[0] if spec.shape else "none" for spec in signature.inputs}
    size = sizes.pop() if len(sizes) == 1 else None
    return size if isinstance(size, int) and size > 0 else None


def predict(
    signature: Signature, invoke: Invoke, inputs: Mapping[str, Array], batch: int | None
) -> dict[str, Array]:
    """Bind and store the inputs, call the runtime as often as `batch` demands, restore the outputs.

    Inputs with one axis more than the model's are samples for a model without a batch axis: one
    call each, outputs stacked. Inputs that fit the model exactly go in one call. Raises StepError
    for inputs that do not fit, or where the runtime fails.
    """
    bound = bind(signature, inputs)
    specs = [spec for spec in signature.inputs if spec.is_tensor]
    ranks = [
        (bound[spec.name].ndim, len(spec.shape)) for spec in specs if spec.shape != UNKNOWN_RANK
    ]
    stacked = bool(ranks) and all(have == want + 1 for have, want in ranks)
    for spec in specs:
        shape = bound[spec.name].shape
        check_shape(
            spec, shape[1:] if stacked else shape, skip=0 if stacked else int(batch is not None)
        )
    stored = {spec.name: store(spec, bound[spec.name]) for spec in signature.inputs}

    if stacked:
        n = _samples(stored)
        calls = [
            _call(invoke, {name: np.asarray(array[i]) for name, array in stored.items()})
            for i in range(n)
        ]
        outputs = [np.stack(column) for column in zip(*calls, strict=True)]
    elif batch is None:
        outputs = _call(invoke, stored)
    else:
        outputs = _in_pieces(signature, invoke, stored, batch)
    return {
        spec.name: restore(spec, array)
        for spec, array in zip(signature.outputs, outputs, strict=True)
    }


def _samples(arrays: Mapping[str, Array]) -> int:
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) != 1:
        raise StepError(f"the inputs differ in their number of samples: {counts}")
    n = next(iter(counts.values()))
    if n == 0:
        raise StepError("there is no sample to predict")
    return n


def _in_pieces(
    signature: Signature, invoke: Invoke, stored: Mapping[str, Array], batch: int
) -> list[Array]:
    n = _samples(stored)
    if n == batch:
        return _call(invoke, dict(stored))
    pieces: list[list[Array]] = []
    for start in range(0, n, batch):
        rows = np.minimum(np.arange(start, start + batch), n - 1)
        outputs = _call(invoke, {name: array[rows] for name, array in stored.items()})
        for spec, output in zip(signature.outputs, outputs, strict=True):
            if np.ndim(output) == 0 or len(output) != batch:
                raise StepError(
                    f"output '{spec.name}' has shape {list(np.shape(output))}, "
                    f"no first axis of {batch} samples",
                    f"give exactly {batch} samples at a time",
                )
        pieces.append([output[: n - start] for output in outputs])
    return [np.concatenate(column) for column in zip(*pieces, strict=True)]


def _call(invoke: Invoke, stored: dict[str, Array]) -> list[Array]:
    try:
        return list(invoke(stored))
    except TaxiwayError:
        raise
    except Exception as error:
        shapes = ", ".join(f"{name}{list(np.shape(array))}" for name, array in stored.items())
        raise failure(f"the model failed on {shapes}", error) from error
