"""From scores and labels to class numbers, with every way they can fail to fit said in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.model.model import Model

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def score_output(model: Model, wanted: str | None, option: str = "evaluate.output") -> str:
    """The output that holds the class scores: `wanted`, or the model's first of real numbers.

    A classifier of scikit-learn gives its label first, and the probabilities after it.

    Converters rename outputs, so that a model's only output is taken under any name. Raises
    StepError where the model has several and none has the name. option: which one the hint names.
    """
    names = [spec.name for spec in model.signature.outputs]
    if wanted is None:
        real = (s.name for s in model.signature.outputs if s.quantized or "float" in s.dtype)
        return next(real, names[0])
    if wanted in names:
        return wanted
    if len(names) == 1:
        return names[0]
    raise StepError(
        f"{model.path.name} has no output '{wanted}'",
        f"set {option} to one of: {', '.join(names)}",
    )


def predicted(
    scores: Array, n: int, output: str, option: str = "evaluate.output"
) -> tuple[Array, int]:
    """Class of each sample and the number of classes.

    scores: `[n, k]` (the highest wins), or `[n]` or `[n, 1]` for the probability of class 1 of two
    (above 0.5 wins); axes of size one between are dropped. Raises StepError for other shapes, other
    dtypes, and scores that are not finite.
    """
    import numpy as np

    if scores.dtype.kind not in "biuf" or not scores.ndim or len(scores) != n or not scores.size:
        raise StepError(
            f"output '{output}' gave {scores.dtype}{list(scores.shape)} for {n} samples; "
            "expected one row of class scores per sample"
        )
    bad = int(np.count_nonzero(~np.isfinite(scores).reshape(n, -1).all(axis=1)))
    if bad:
        raise StepError(
            f"output '{output}' is not finite (NaN or infinite) for {bad} of {n} samples"
        )
    rows = scores.reshape(n, -1)
    if scores.ndim > 1 and rows.shape[1] != scores.shape[-1]:
        raise StepError(
            f"output '{output}' has shape {list(scores.shape)}; expected class scores [n, classes]",
            f"set {option} to the output that holds them",
        )
    if rows.shape[1] == 1:
        return (rows[:, 0] > 0.5).astype(np.int64), 2
    return rows.argmax(axis=1), rows.shape[1]


def class_numbers(labels: Array, classes: int) -> Array:
    """Labels as class numbers `[n]`, from whole numbers `[n]`, `[n, 1]` or one-hot `[n, classes]`.

    Raises StepError for anything else, and for a number outside 0 to classes - 1.
    """
    import numpy as np

    what = f"labels of dtype {labels.dtype} and shape {list(labels.shape)}"
    if labels.dtype.kind not in "biuf":
        raise StepError(f"{what} are no numbers", "store class numbers 0, 1, 2, ...")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.shape[1] == classes:
        if not ((labels == 0) | (labels == 1)).all() or not (labels.sum(axis=1) == 1).all():
            raise StepError(f"{what} are not one-hot: a row does not hold exactly one 1")
        return np.asarray(labels.argmax(axis=1))
    if labels.ndim != 1:
        raise StepError(f"{what} do not fit {classes} classes; expected [n] or [n, {classes}]")
    if not np.array_equal(labels, np.rint(labels)):
        raise StepError(f"{what} are not whole numbers; expected class numbers")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise StepError(
            f"labels go from {labels.min():g} to {labels.max():g}; "
            f"the model has {classes} classes, 0 to {classes - 1}"
        )
    return labels.astype(np.int64)
