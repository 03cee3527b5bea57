"""What both models get: real samples from the recipe's data, or random ones from the signature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model import Signature, TensorSpec
from taxiway.model.layout import data_shape
from taxiway.parity.arrange import arranged, fits
from taxiway.plugins import Dataset, Selection

Array = np.ndarray[Any, Any]

BATCH = 4
SIZES = (16, 64, 512, 224, 4, 1)
"""Sizes of a free axis that are tried until the reference takes one."""
_WORDS = ("runway", "taxi", "hangar", "a b", "")


def real_samples(signature: Signature, data: Dataset, selection: Selection) -> dict[str, Array]:
    """The first rows of a split, preprocessed as the recipe says, under the model's input names.

    Integers for an input of real values, such as pixels, become float32. Rows without content are
    left out.
    """
    count = data.count(selection)
    if not count:
        raise StepError(f"split '{selection.split}' has no rows to compare with")
    batch = next(iter(data.batches(selection, count)))
    samples = bound(signature, batch.inputs)
    real = {spec.name for spec in signature.inputs if _is_real(spec)}
    return with_content(
        {
            name: array.astype(np.float32) if name in real and array.dtype.kind in "iub" else array
            for name, array in samples.items()
        }
    )


def with_content(samples: Mapping[str, Array]) -> dict[str, Array]:
    """The samples but for those whose every input is one constant, such as silence or a black image;
    all of them where none has content, or where a value alone is a sample.

    A model that normalizes divides nothing by nothing there: basic-pitch moves by 2.5 % on silence
    between any two runtimes, and by 1e-6 on sounds.
    """
    arrays = [array for array in samples.values() if array.ndim > 1 and array.dtype.kind in "fiub"]
    if len(arrays) < len(samples) or not arrays or len({len(array) for array in arrays}) > 1:
        return dict(samples)
    rows = [array.reshape(len(array), -1) for array in arrays if array[0].size > 1]
    if not rows:
        return dict(samples)
    content = np.any([np.any(row != row[:, :1], axis=1) for row in rows], axis=0)
    chosen = content if content.any() else np.ones_like(content)
    return {name: array[chosen] for name, array in samples.items()}


def _is_real(spec: TensorSpec) -> bool:
    return spec.quantized or "float" in spec.dtype


def random_samples(
    signature: Signature, seed: int, rows: int = BATCH
) -> Iterator[dict[str, Array]]:
    """Guesses at what a model takes, from the likeliest on: normal values, then those in [0, 1).

    Axes of one name get one size. Integers are small (they may be indices), masks are ones with
    zeros at the end, as padding has them. rows: the size of a free first axis.
    """
    free = any(isinstance(axis, str) for spec in signature.inputs for axis in spec.shape[1:])
    batch = {spec.shape[0] for spec in signature.inputs if spec.shape}
    for size in SIZES if free else SIZES[:1]:
        for positive in (False, True):
            random = np.random.default_rng([seed, size, int(positive)])
            yield {
                spec.name: _random(spec, _sizes(spec, batch, size, rows), positive, random)
                for spec in signature.inputs
            }


def _sizes(spec: TensorSpec, batch: set[int | str], size: int, rows: int) -> tuple[int, ...]:
    """batch: names of first axes, which mean the same where they come later, as in a state."""
    return tuple(
        axis if isinstance(axis, int) else rows if at == 0 or axis in batch else size
        for at, axis in enumerate(data_shape(spec))
        if axis != "..."
    )


def _random(
    spec: TensorSpec, shape: tuple[int, ...], positive: bool, random: np.random.Generator
) -> Array:
    if spec.dtype == "str":
        return random.choice(np.array(_WORDS, dtype=object), shape)
    if spec.dtype == "bool":
        made: Array = random.random(shape) < 0.5
        return made
    if spec.quantized:
        limits = np.iinfo(spec.dtype)
        stored = random.integers(limits.min, limits.max, shape, endpoint=True)
        return ((stored - (spec.zero_point or 0)) * (spec.scale or 1.0)).astype(np.float32)
    if "mask" in spec.name.lower() and len(shape) == 2:
        lengths = random.integers(max(1, shape[1] // 2), shape[1], shape[0], endpoint=True)
        return (np.arange(shape[1]) < lengths[:, None]).astype(spec.dtype)
    if spec.dtype == "uint8":
        return random.integers(0, 256, shape).astype(np.uint8)
    if spec.dtype.startswith(("int", "uint")):
        return random.integers(0, 2 if "type" in spec.name.lower() else 8, shape).astype(spec.dtype)
    values = random.random(shape) if positive else random.standard_normal(shape)
    return values.astype(spec.dtype if spec.dtype.startswith("float") else np.float32)


def bound(signature: Signature, samples: Mapping[str, Array]) -> dict[str, Array]:
    """Samples under a model's own input names, with its layout: by name, else by what fits, in order.

    Raises StepError that lists both sides where their numbers differ.
    """
    specs = signature.inputs
    if len(specs) != len(samples):
        raise StepError(
            f"the model takes inputs {', '.join(spec.name for spec in specs) or 'none'}; the samples "
            f"are {', '.join(samples) or 'none'}",
            "name the arrays of the data as the model names its inputs",
        )
    left = dict(samples)
    chosen: dict[str, Array] = {s.name: left.pop(s.name) for s in specs if s.name in left}
    for spec in specs:
        if spec.name not in chosen:
            name = next((n for n, array in left.items() if _suits(spec, array)), next(iter(left)))
            chosen[spec.name] = left.pop(name)
    return {spec.name: arranged(chosen[spec.name], data_shape(spec)) for spec in specs}


def count(samples: Mapping[str, Array]) -> int:
    """How many samples these are: the rows of the first input, 1 where it has none."""
    first = next(iter(samples.values()), None)
    return len(first) if first is not None and first.ndim else 1


def one_call(signature: Signature, samples: Mapping[str, Array], at: int) -> Mapping[str, Array]:
    """What one call of the model takes: all samples, or the one at `at` of a model without a batch,
    whose samples are stacked along an axis that it does not have."""
    given = bound(signature, samples)
    ranks = [(given[spec.name].ndim, len(spec.shape)) for spec in signature.inputs]
    if all(have == want + 1 for have, want in ranks):
        return {name: array[at] for name, array in samples.items()}
    return samples


def _suits(spec: TensorSpec, array: Array) -> bool:
    kinds = "SUO" if spec.dtype == "str" else "b" if spec.dtype == "bool" else "iu"
    if _is_real(spec):
        kinds = "fiu"
    axes = data_shape(spec)
    shape = arranged(array, axes).shape
    return array.dtype.kind in kinds and (axes == ("...",) or fits(shape, axes))
