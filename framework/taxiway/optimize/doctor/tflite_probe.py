"""A .tflite whose tensors are kept after each call, and read one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model import Model

Array = np.ndarray[Any, Any]


class TFLiteProbe:
    """LiteRT with the built-in kernels, for a delegate hides what is inside.

    tensors: inputs, and what operators of the first graph give, of real numbers.
    """

    def __init__(self, model: Model) -> None:
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        from taxiway.model.inspect import tflite_tensors

        self._model = model
        graph = schema.Model.GetRootAs(model.path.read_bytes(), 0).Subgraphs(0)
        operators = [graph.Operators(at) for at in range(graph.OperatorsLength())]
        computed = {int(at) for op in operators for at in op.OutputsAsNumpy().tolist() if at >= 0}
        try:
            self._interpreter = Interpreter(
                model_path=str(model.path),
                num_threads=1,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                experimental_preserve_all_tensors=True,
            )
            inputs, _, _ = tflite_tensors(self._interpreter)
            self._interpreter.allocate_tensors()
        except Exception as error:
            raise StepError(f"LiteRT cannot load {model.path.name}: {error}") from error
        self._inputs = {name: int(detail["index"]) for name, detail in inputs.items()}
        computed |= {*self._inputs.values()}
        details = {
            int(detail["index"]): detail
            for detail in self._interpreter.get_tensor_details()
            if int(detail["index"]) in computed and detail["dtype"] == np.float32
        }
        order = [*self._inputs.values(), *(int(a) for op in operators for a in op.OutputsAsNumpy())]
        self._indices = [at for at in dict.fromkeys(order) if at in details]
        self.tensors = tuple(_unique([str(details[at]["name"]) for at in self._indices]))
        self._shapes: dict[str, tuple[int, ...]] = {}

    def extremes(self, feed: Mapping[str, Array]) -> tuple[Array, Array, bool]:
        """The smallest and the largest value of every tensor on one batch, and whether all are numbers."""
        self._invoke(feed)
        found = np.array([self._ends_of(at) for at in self._indices]).reshape(-1, 2)
        return found[:, 0], found[:, 1], not np.isnan(found).any()

    def _ends_of(self, at: int) -> tuple[float, float]:
        value = self._interpreter.get_tensor(at)
        return (float(value.min()), float(value.max())) if value.size else (0.0, 0.0)

    def outside(self, feeds: Any, ranges: Mapping[str, tuple[float, float]]) -> dict[str, float]:
        """Tensor -> share of its values on all feeds that lie outside its range."""
        places = dict(zip(self.tensors, self._indices, strict=True))
        total, weight = dict.fromkeys(ranges, 0.0), 0
        for samples, feed in feeds:
            self._invoke(feed)
            weight += samples
            for name, (low, high) in ranges.items():
                value = self._interpreter.get_tensor(places[name])
                total[name] += samples * float(((value < low) | (value > high)).mean())
        return {name: value / max(weight, 1) for name, value in total.items()}

    def broken(self, feed: Mapping[str, Array]) -> str | None:
        """The first tensor of graph order with NaN on this batch."""
        self._invoke(feed)
        return next(
            (
                name
                for name, at in zip(self.tensors, self._indices, strict=True)
                if np.isnan(self._interpreter.get_tensor(at)).any()
            ),
            None,
        )

    def _invoke(self, feed: Mapping[str, Array]) -> None:
        shapes = {name: array.shape for name, array in feed.items()}
        try:
            if shapes != self._shapes:
                self._shapes = {}
                for name, shape in shapes.items():
                    self._interpreter.resize_tensor_input(self._inputs[name], shape)
                self._interpreter.allocate_tensors()
                self._shapes = shapes
            for name, array in feed.items():
                self._interpreter.set_tensor(self._inputs[name], array)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise StepError(f"{self._model.path.name} fails on the samples: {error}") from error


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return found
