"""scikit-learn itself, with the outputs that the ONNX conversion of the estimator has."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from taxiway.model.load_sklearn import load_sklearn, predicted
from taxiway.model.model import Model
from taxiway.model.runners.batching import predict

Array = np.ndarray[Any, Any]


class SklearnRunner:
    """A fitted estimator; `threads` limits the libraries that compute for it."""

    def __init__(self, model: Model, threads: int) -> None:
        from threadpoolctl import threadpool_limits

        self._limits = threadpool_limits(threads)
        self._estimator = load_sklearn(model.path)
        self.signature = model.signature

    def _invoke(self, stored: dict[str, Array]) -> list[Array]:
        with warnings.catch_warnings():
            # An estimator fitted on a named table warns of an array without names.
            warnings.simplefilter("ignore")
            return predicted(self._estimator, stored["X"])

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return predict(self.signature, self._invoke, inputs, None)
