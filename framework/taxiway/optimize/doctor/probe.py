"""A float model that tells the extremes of its tensors, and the samples in the batches that it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.plugins import Batch

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Feed = dict[str, Array]

BATCH = 8
"""Samples per call where the model leaves its batch open: the grain of the curve of ranges."""


class Probe(Protocol):
    """tensors: names, in graph order."""

    tensors: tuple[str, ...]

    def extremes(self, feed: Mapping[str, Array]) -> tuple[Array, Array, bool]: ...

    def outside(
        self, feeds: Any, ranges: Mapping[str, tuple[float, float]]
    ) -> dict[str, float]: ...

    def broken(self, feed: Mapping[str, Array]) -> str | None: ...


def open_probe(model: Model) -> Probe:
    """Raises StepError where the runtime cannot load the model."""
    if model.format == "onnx":
        from taxiway.optimize.doctor.onnx_probe import OnnxProbe

        return OnnxProbe(model)
    from taxiway.optimize.doctor.tflite_probe import TFLiteProbe

    return TFLiteProbe(model)


class Feeder:
    """Batches of samples as a model's calls: in its dtypes, one by one where it has no batch axis.

    size: samples of a call. A model with a fixed batch gets its last call filled up with the last sample,
    which moves no minimum and no maximum.
    """

    def __init__(self, model: Model) -> None:
        from taxiway.model.runners.batching import fixed_batch

        self._model = model
        self._fixed = fixed_batch(model.signature)
        self.size = self._fixed or BATCH

    def feeds(self, batch: Batch) -> Iterator[tuple[int, Feed]]:
        """(samples, feed). Raises StepError where the samples do not fit the model."""
        import numpy as np

        from taxiway.model.inspect import UNKNOWN_RANK
        from taxiway.model.runners.binding import bind, check_shape, store

        signature = self._model.signature
        bound = bind(signature, batch.inputs)
        specs = [spec for spec in signature.inputs if spec.shape != UNKNOWN_RANK]
        single = bool(specs) and all(np.ndim(bound[s.name]) == len(s.shape) + 1 for s in specs)
        for spec in specs:
            shape = np.shape(bound[spec.name])
            check_shape(spec, shape[1:] if single else shape, skip=0 if single else 1)
        stored = {spec.name: store(spec, bound[spec.name]) for spec in signature.inputs}
        count = len(next(iter(stored.values())))
        for start in range(0, count, 1 if single else self.size):
            if single:
                yield 1, {name: array[start] for name, array in stored.items()}
                continue
            stop = min(start + self.size, count)
            end = start + self.size if self._fixed else stop
            rows = np.minimum(np.arange(start, end), count - 1)
            yield stop - start, {name: array[rows] for name, array in stored.items()}

    def one_by_one(self) -> None:
        """Where the graph insists on one sample though its signature leaves the batch open."""
        if self._fixed or self.size == 1:
            raise StepError(f"{self._model.path.name} does not run on the samples")
        self.size = 1
