"""NaN and Inf in what is to be quantized: a scale over them is no scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from taxiway.errors import StepError

Array = np.ndarray[Any, Any]


def check_weight(name: str, values: Array, model: str, owner: str | None = None) -> None:
    """Raise StepError where a constant holds NaN or Inf, with where and how many.

    model: the file's name. owner: the operator that reads it, where one may be left out for it.
    """
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return
    bad = ~np.isfinite(values)
    kind = "NaN" if np.isnan(values).any() else "Inf"
    first = [int(i) for i in np.argwhere(bad)[0]]
    of = f" of '{owner}'" if owner else ""
    raise StepError(
        f"the weight '{name}'{of} in {model} holds {kind}: {int(bad.sum())} of {values.size} values, "
        f"the first at {first}",
        "train the model again"
        + (f", or leave the operator out: exclude: ['{owner}']" if owner else ""),
    )


def is_mask(values: Array) -> bool:
    """Whether Inf is there on purpose, as in an attention mask: no value but 0 and Inf."""
    return bool((np.isinf(values) | (values == 0)).all())


def check_ranges(
    broken: Iterable[str], readers: Mapping[str, str], model: str, sample: str = "calibration"
) -> None:
    """Raise StepError for the first tensor in `broken` that an operator in `readers` is quantized by.

    broken: tensors in which NaN or Inf was seen, in graph order. readers: tensor -> operator.
    """
    for name in broken:
        if name in readers:
            owner = readers[name]
            raise StepError(
                f"the tensor '{name}' of '{owner}' in {model} became NaN or Inf on the {sample} "
                "samples: it has no range",
                f"check the samples and the model, or leave the operator out: exclude: ['{owner}']",
            )
