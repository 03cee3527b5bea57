"""LiteRT (TFLite) interpreter, by default with its XNNPACK kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model.inspect import tflite_tensors
from taxiway.model.model import Model
from taxiway.model.runners.batching import fixed_batch, predict
from taxiway.model.runners.kernels import Kernels


class LiteRTRunner:
    """An interpreter whose inputs are resized to what they get, where the graph allows it."""

    def __init__(self, model: Model, threads: int, kernels: Kernels = "fast") -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolvers = {
            "fast": OpResolverType.AUTO,
            "plain": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        }
        try:
            self._interpreter = Interpreter(
                model_path=str(model.path),
                num_threads=threads,
                experimental_op_resolver_type=resolvers[kernels],
            )
            inputs, outputs, self._key = tflite_tensors(self._interpreter)
        except Exception as error:
            raise StepError(f"LiteRT cannot load {model.path.name}: {error}") from error
        self.signature = model.signature
        self._inputs = {name: detail["index"] for name, detail in inputs.items()}
        self._outputs = {name: detail["index"] for name, detail in outputs.items()}
        self._shapes: dict[str, tuple[int, ...]] = {}
        if self._key:
            self._call = self._interpreter.get_signature_runner(self._key)
        self._batch = fixed_batch(model.signature)
        probe = {
            name: np.zeros(detail["shape"], detail["dtype"]) for name, detail in inputs.items()
        }
        if self._batch is None and not self._resizes(probe):
            self._batch = 1

    def _resizes(self, probe: dict[str, np.ndarray[Any, Any]]) -> bool:
        """Whether two samples give two results.

        A free batch axis may be a leftover: a Reshape inside can still insist on one sample.
        """
        if any(array.ndim == 0 or len(array) != 1 for array in probe.values()):
            return True
        try:
            one = self._invoke(probe)
            two = self._invoke({name: np.repeat(array, 2, axis=0) for name, array in probe.items()})
        except (RuntimeError, ValueError):
            return False
        return all(map(_doubled, one, two))

    def _invoke(self, stored: dict[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        if self._key:
            results = self._call(**stored)
            return [results[spec.name] for spec in self.signature.outputs]
        shapes = {name: array.shape for name, array in stored.items()}
        if shapes != self._shapes:
            self._shapes = {}
            for name, shape in shapes.items():
                self._interpreter.resize_tensor_input(self._inputs[name], shape)
            self._interpreter.allocate_tensors()
            self._shapes = shapes
        for name, array in stored.items():
            self._interpreter.set_tensor(self._inputs[name], array)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(self._outputs[s.name]) for s in self.signature.outputs]

    def predict(
        self, inputs: Mapping[str, np.ndarray[Any, Any]]
    ) -> dict[str, np.ndarray[Any, Any]]:
        return predict(self.signature, self._invoke, inputs, self._batch)


def _doubled(one: np.ndarray[Any, Any], two: np.ndarray[Any, Any]) -> bool:
    """Whether an output of one sample became one of two: along its first axis, or, as the states of a
    recurrent layer do, along another."""
    if np.ndim(two) > 0 and len(two) == 2:
        return True
    return np.ndim(one) == np.ndim(two) and (1, 2) in zip(np.shape(one), np.shape(two), strict=True)
