"""Rows of a split for a training: streamed, shuffled in a bounded buffer, as the network takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.model import Signature
from taxiway.plugins import Dataset, Selection

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_CHUNK_ROWS, _CHUNK_BYTES = 512, 4 << 20
"""Most that is read from the dataset at once."""


@dataclass(frozen=True)
class Rows:
    """Some rows of a split.

    inputs: in the order and the dtypes of the network's inputs, each `[n, ...]`. labels: `[n, ...]`, or
    None where they were not selected. index: their positions in the selection, `[n]` int64.
    """

    inputs: tuple[Array, ...]
    labels: Array | None
    index: Array

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, chosen: Any) -> Rows:
        """The rows that NumPy would choose with `chosen`, a slice or an array."""
        labels = None if self.labels is None else self.labels[chosen]
        return Rows(tuple(array[chosen] for array in self.inputs), labels, self.index[chosen])

    @property
    def nbytes(self) -> int:
        arrays = (*self.inputs, self.index, *(() if self.labels is None else (self.labels,)))
        return sum(array.nbytes for array in arrays)


class RowStream:
    """The rows of a selection, or those of them that `chosen` marks.

    Where they fit into `memory` bytes they are read once and held; else every pass reads them anew, and
    a shuffle mixes what is in a buffer of that size.
    """

    def __init__(
        self,
        data: Dataset,
        selection: Selection,
        signature: Signature,
        memory: int,
        chosen: Array | None = None,
    ) -> None:
        """chosen: booleans `[rows of the selection]`. Raises StepError where the rows do not fit the
        signature, or there are none."""
        import numpy as np

        self._data, self._selection, self._signature = data, selection, signature
        total = data.count(selection)
        self._chosen = np.ones(total, bool) if chosen is None else chosen
        self.count = int(np.count_nonzero(self._chosen))
        if not self.count:
            raise StepError(
                f"no row to train on: split '{selection.split}' has {total}",
                "add rows to the split, or name another one: training.split=train",
            )
        self.example = self._example()
        self.row_bytes = max(1, self.example.nbytes)
        self._capacity = max(1, memory // self.row_bytes)
        self._held: Rows | None = None

    @property
    def fits(self) -> bool:
        """Whether all rows can be held at once."""
        return self.count <= self._capacity

    def in_order(self, size: int) -> Iterator[Rows]:
        """All rows in the order of the split, at most `size` at a time."""
        return regrouped(self._parts(), size)

    def shuffled(self, size: int, rng: np.random.Generator) -> Iterator[Rows]:
        """All rows in an order that `rng` decides, at most `size` at a time."""
        if self.fits:
            order = rng.permutation(self.count)
            rows = self._all()
            return (rows[order[start : start + size]] for start in range(0, self.count, size))
        return regrouped(_mixed(self._parts(), self._capacity, rng), size)

    def _parts(self) -> Iterator[Rows]:
        if self.fits:
            yield self._all()
            return
        yield from self._read()

    def _all(self) -> Rows:
        if self._held is None:
            self._held = joined(list(self._read()))
        return self._held

    def _example(self) -> Rows:
        return self._stored(next(iter(self._data.batches(self._selection, 1))), 0)

    def _read(self) -> Iterator[Rows]:
        size = max(1, min(_CHUNK_ROWS, _CHUNK_BYTES // self.row_bytes))
        start = 0
        for batch in self._data.batches(self._selection, size):
            rows = self._stored(batch, start)
            chosen = self._chosen[start : start + len(rows)]
            start += len(rows)
            if chosen.any():
                yield rows if chosen.all() else rows[chosen]

    def _stored(self, batch: Any, start: int) -> Rows:
        import numpy as np

        from taxiway.model.runners.binding import bind, check_shape, store

        bound = bind(self._signature, batch.inputs)
        inputs = []
        for spec in self._signature.inputs:
            array = store(spec, bound[spec.name])
            check_shape(spec, array.shape, skip=1)
            inputs.append(array)
        return Rows(tuple(inputs), batch.labels, np.arange(start, start + len(inputs[0])))


def _mixed(parts: Iterator[Rows], capacity: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Rows that arrive take the places of random ones in a full buffer, which go out."""
    import numpy as np

    waiting: list[Rows] = []
    buffer: Rows | None = None
    for part in parts:
        if buffer is None:
            waiting.append(part)
            if sum(map(len, waiting)) >= capacity:
                buffer, waiting = joined(waiting), []
            continue
        for start in range(0, len(part), len(buffer)):
            new = part[start : start + len(buffer)]
            places = rng.choice(len(buffer), len(new), replace=False)
            yield buffer[places]
            _put(buffer, places, new)
    rest = buffer if buffer is not None else joined(waiting)
    order = rng.permutation(len(rest))
    for start in range(0, len(rest), _CHUNK_ROWS):
        yield rest[np.asarray(order[start : start + _CHUNK_ROWS])]


def _put(buffer: Rows, places: Array, new: Rows) -> None:
    for array, values in zip(buffer.inputs, new.inputs, strict=True):
        array[places] = values
    if buffer.labels is not None:
        buffer.labels[places] = new.labels
    buffer.index[places] = new.index


def joined(parts: list[Rows]) -> Rows:
    """One `Rows` of several; arrays of its own, which may be written to."""
    import numpy as np

    inputs = tuple(
        np.concatenate(arrays) for arrays in zip(*(p.inputs for p in parts), strict=True)
    )
    labels = [part.labels for part in parts if part.labels is not None]
    return Rows(
        inputs,
        np.concatenate(labels) if labels else None,
        np.concatenate([part.index for part in parts]),
    )


def regrouped(parts: Iterator[Rows], size: int) -> Iterator[Rows]:
    """The same rows in pieces of `size`; the last one may be shorter."""
    waiting: list[Rows] = []
    for part in parts:
        start = 0
        while start < len(part):
            taken = part[start : start + size - sum(map(len, waiting))]
            start += len(taken)
            waiting.append(taken)
            if sum(map(len, waiting)) == size:
                yield waiting[0] if len(waiting) == 1 else joined(waiting)
                waiting = []
    if waiting:
        yield joined(waiting)
