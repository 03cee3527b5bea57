"""Calibration samples as a model takes them, read in a stream."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.plugins import Batch, Context, Dataset, Selection

if TYPE_CHECKING:
    import numpy as np

    Feed = dict[str, np.ndarray[Any, Any]]

READ_SIZE = 32
"""Rows read at once; the model gets them one by one, or as many as its fixed batch demands."""


def open_calibration(selection: Selection, context: Context) -> Dataset:
    """The dataset, once it is known to hold the samples that `selection` asks for.

    Raises StepError where there is no data, no such split, or too few samples.
    """
    if context.data is None:
        raise StepError("calibration needs samples, and the recipe has no data", "data=npz")
    found = context.data.count(Selection(selection.split))
    wanted = selection.samples or found
    if found < wanted or not found:
        raise StepError(
            f"calibration asks for {wanted} samples, the {selection.split} split has {found}",
            f"calibration.samples={found}" if found else "add samples to the split",
        )
    return context.data


class Feeds:
    """The calibration samples of a model, one call's worth at a time; can be read once.

    A feed maps the model's input names to arrays in its dtypes. A model with a fixed batch gets
    its last feed filled up with the last sample, which moves no minimum and no maximum; a model
    without a batch axis gets samples one by one.
    """

    def __init__(self, model: Model, selection: Selection, context: Context) -> None:
        """Reads the first rows. Raises StepError where they do not fit the model, and as
        `open_calibration` does."""
        from taxiway.model.runners.batching import fixed_batch

        data = open_calibration(selection, context)
        self._signature, self._progress = model.signature, context.progress
        self._total = data.count(selection)
        size = fixed_batch(model.signature) or 1
        batches = data.batches(selection, -(-READ_SIZE // size) * size)
        first = self._stored(next(batches))
        self._check_shapes(first)
        self._batches = chain([first], map(self._stored, batches))
        ranks = {spec.name: len(spec.shape) for spec in model.signature.inputs}
        self._size = 0 if all(a.ndim > ranks[name] for name, a in first.items()) else size

    def __len__(self) -> int:
        return -(-self._total // max(self._size, 1))

    def __iter__(self) -> Iterator[Feed]:
        import numpy as np

        done, step = 0, max(self._size, 1)
        for batch in self._batches:
            rows = len(next(iter(batch.values())))
            for start in range(0, rows, step):
                if start + step >= rows:
                    done += rows
                    self._progress(done, self._total, "samples")
                span = np.minimum(np.arange(start, start + step), rows - 1)
                chosen = span if self._size else start
                yield {name: array[chosen] for name, array in batch.items()}

    def _check_shapes(self, rows: Feed) -> None:
        """Raise StepError where samples do not have an input's shape, with both."""
        from taxiway.model.runners.binding import check_shape

        for spec in self._signature.inputs:
            shape = rows[spec.name].shape
            lone = len(shape) == len(spec.shape) + 1
            check_shape(spec, shape[1:] if lone else shape, skip=0 if lone else 1)

    def _stored(self, batch: Batch) -> Feed:
        from taxiway.model.runners.binding import bind, store

        bound = bind(self._signature, batch.inputs)
        return {spec.name: store(spec, bound[spec.name]) for spec in self._signature.inputs}
