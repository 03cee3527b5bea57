"""NaN and Inf in what is to be quantized: a scale over them is no scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from taxiway.errors import StepError

Array = np.ndarray[Any, Any]


def check_weight(name: str, values: Array, owner: str, model: str) -> None:
    """Raise StepError where a constant of an operator holds NaN or Inf.

    owner: the operator's name. model: the file's name.
    """
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return
    kind = "NaN" if np.isnan(values).any() else "Inf"
    where = [int(i) for i in np.argwhere(~np.isfinite(values))[0]]
    count = int((~np.isfinite(values)).sum())
    raise StepError(
        f"the weight '{name}' of '{owner}' in {model} holds {kind}: {count} of {values.size} values, "
        f"the first at {where}",
        f"train the model again, or leave the operator out: exclude: ['{owner}']",
    )


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
