"""Loads a scikit-learn estimator after the static gate, and says what its ONNX conversion will give."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from taxiway import safety
from taxiway.errors import SafetyError, StepError
from taxiway.model.model import Signature, TensorSpec
from taxiway.safety.skops_file import allowed

Kind = Literal["classifier", "clusterer", "outlier_detector", "regressor", "transformer"]


@dataclass(frozen=True)
class Estimator:
    """A fitted estimator or pipeline, what it is, and its signature in the terms of skl2onnx."""

    fitted: Any
    kind: Kind
    signature: Signature


def load_sklearn(path: Path) -> Estimator:
    """The estimator in a .skops file.

    It takes `X` float32 [batch, features]. A classifier gives `label` [batch] and `probabilities`
    [batch, classes] (decision values where it has no probabilities), a regressor or transformer
    `variable` [batch, n], a clusterer and an outlier detector `label` and `scores`: as skl2onnx
    names them. Raises SafetyError before the loader and for trees that index outside of their
    arrays, StepError for what is no such estimator.
    """
    safety.check(path, "sklearn")
    import skops.io

    from taxiway.model.sklearn_indices import wrong_indices

    try:
        unknown = skops.io.get_untrusted_types(file=str(path))
        foreign = [name for name in unknown if not allowed(name)]
        if foreign:
            raise SafetyError(f"{path.name} is refused: it holds {', '.join(foreign)}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = skops.io.load(str(path), trusted=unknown)
    except (SafetyError, ImportError):
        raise
    except Exception as error:
        raise StepError(f"skops cannot load {path.name}: {error}") from error
    wrong = wrong_indices(fitted)
    if wrong:
        raise SafetyError(f"{path.name} is refused: {wrong}", "save the estimator again")
    return described(fitted, path.name)


def described(fitted: Any, name: str) -> Estimator:
    """The signature of a fitted estimator."""
    what = type(fitted).__name__
    features = getattr(fitted, "n_features_in_", None)
    if not hasattr(fitted, "fit") or not isinstance(features, int):
        raise StepError(
            f"{name} holds a {what} that takes no table of numbers, or was not fitted",
            "save a fitted estimator or pipeline whose input is a float array [samples, features]",
        )
    kind = _kind(fitted, name)
    inputs = (TensorSpec(name="X", dtype="float32", shape=("batch", features)),)
    return Estimator(fitted, kind, Signature(inputs=inputs, outputs=_outputs(fitted, kind, name)))


def predicted(estimator: Estimator, x: Any) -> list[Any]:
    """The outputs for `x` float32 [n, features], in the signature's order, dtypes and shapes."""
    import numpy as np

    fitted, kind = estimator.fitted, estimator.kind
    if kind == "transformer":
        values = fitted.transform(x)
        if hasattr(values, "toarray"):
            values = values.toarray()
        return [np.asarray(values, dtype=np.float32).reshape(len(x), -1)]
    if kind == "regressor":
        return [np.asarray(fitted.predict(x), dtype=np.float32).reshape(len(x), -1)]
    label = np.asarray(fitted.predict(x))
    label = label.astype(object if label.dtype.kind in "UO" else np.int64)
    if kind == "outlier_detector":
        label = label.reshape(-1, 1)
        scores = fitted.decision_function(x).reshape(-1, 1)
    elif kind == "clusterer":
        scores = fitted.transform(x)
    elif hasattr(fitted, "predict_proba"):
        scores = fitted.predict_proba(x)
    else:
        scores = fitted.decision_function(x)
        scores = np.stack([-scores, scores], 1) if scores.ndim == 1 else scores
    return [label, np.asarray(scores, dtype=np.float32)]


def _kind(fitted: Any, name: str) -> Kind:
    from sklearn.base import is_classifier, is_outlier_detector, is_regressor

    if is_classifier(fitted):
        classes = getattr(fitted, "classes_", None)
        if classes is None or isinstance(classes, list):
            raise StepError(f"{name} is a classifier with several outputs; one is supported")
        return "classifier"
    if is_outlier_detector(fitted) and hasattr(fitted, "decision_function"):
        return "outlier_detector"
    if is_regressor(fitted):
        return "regressor"
    if hasattr(fitted, "predict") and hasattr(fitted, "transform"):
        return "clusterer"
    if hasattr(fitted, "transform"):
        return "transformer"
    raise StepError(
        f"{type(fitted).__name__} in {name} predicts nothing for new samples",
        "use a classifier, regressor, transformer, or a clusterer with predict, such as KMeans",
    )


def _outputs(fitted: Any, kind: Kind, name: str) -> tuple[TensorSpec, ...]:
    """Widths are asked of the estimator itself, with one sample of zeros."""
    import numpy as np

    probe = Estimator(fitted, kind, Signature(inputs=(), outputs=()))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = predicted(probe, np.zeros((2, fitted.n_features_in_), np.float32))
    except Exception as error:
        raise StepError(
            f"{type(fitted).__name__} in {name} cannot predict from numbers: {error}",
            "save an estimator whose input is a float array [samples, features]",
        ) from error
    names = {
        "classifier": ("label", "probabilities"),
        "clusterer": ("label", "scores"),
        "outlier_detector": ("label", "scores"),
    }.get(kind, ("variable",))
    return tuple(
        TensorSpec(
            name=label,
            dtype="str" if values.dtype == object else values.dtype.name,
            shape=("batch", *values.shape[1:]),
        )
        for label, values in zip(names, found, strict=True)
    )
