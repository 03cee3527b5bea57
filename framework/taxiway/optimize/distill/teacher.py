"""What the teacher says about rows: computed once, kept on disk, found again by the rows' content."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.optimize.distill.soft_targets import SoftTarget

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_KEY = 16
"""Bytes of a row's digest."""


class Teacher:
    """A trained network that answers for rows of any number.

    An answer is an array `[n, ...]` float32 for each soft target, then one for each inner layer.
    """

    def __init__(self, network: Any, targets: Sequence[SoftTarget], layers: Sequence[Any]) -> None:
        """layers: tensors (KerasTensor) of inner layers."""
        import keras
        import tensorflow as tf

        from taxiway.model.inspect import keras_signature
        from taxiway.model.runners.batching import fixed_batch

        signature = keras_signature(network)
        self._batch = fixed_batch(signature)
        names = [signature.outputs[target.output].name for target in targets]
        self.names = [
            *(f"output '{name}'" for name in names),
            *(f"layer '{_layer(t)}'" for t in layers),
        ]
        tapped = keras.Model(network.inputs, [*network.outputs, *layers])
        specs = [
            tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in network.inputs
        ]

        @tf.function(input_signature=[specs], autograph=False)  # type: ignore[untyped-decorator]
        def answer(inputs: Any) -> Any:
            outputs = tf.nest.flatten(tapped(list(inputs), training=False))
            inner = outputs[len(network.outputs) :]
            said = [target.said(outputs) for target in targets]
            return [*said, *(tf.cast(tensor, tf.float32) for tensor in inner)]

        self._answer = answer

    def answer(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """For inputs in the order of the network's. Raises StepError that names an output or a layer
        which is not finite."""
        import numpy as np

        count = len(inputs[0])
        pieces = [
            self._answer([array[rows] for array in inputs]) for rows in _pieces(count, self._batch)
        ]
        said = tuple(
            np.concatenate([np.asarray(part) for part in parts])[:count]
            for parts in zip(*pieces, strict=True)
        )
        for name, array in zip(self.names, said, strict=True):
            if not np.isfinite(array).all():
                raise StepError(
                    f"the teacher's {name} is not finite (NaN or infinite) for "
                    f"{np.count_nonzero(~np.isfinite(array).reshape(count, -1).all(axis=1))} of {count} rows",
                    "look at these samples, and at the teacher's weights",
                )
        return said


def _layer(tensor: Any) -> str:
    return str(tensor._keras_history.operation.name)


def _pieces(count: int, batch: int | None) -> list[Any]:
    import numpy as np

    if batch is None:
        return [slice(None)]
    starts = range(0, count, batch)
    return [np.minimum(np.arange(start, start + batch), count - 1) for start in starts]


@dataclass(frozen=True)
class Layout:
    """The shapes of one row's answer."""

    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, said: Sequence[Array]) -> Layout:
        return cls(tuple(array.shape[1:] for array in said))

    @property
    def values(self) -> int:
        return sum(prod(shape) for shape in self.shapes)

    @property
    def nbytes(self) -> int:
        """Of a record: the row's digest, then its values."""
        return _KEY + 4 * self.values


class RememberedAnswers:
    """The answers of a teacher in a file to which each is added once.

    A record is the digest of a row's inputs and its answer, so that equal rows share one, whatever
    split they are read from. A file that a kill left is read again; half a record at its end is
    dropped. Memory: some 150 bytes for each row, and one batch.
    """

    def __init__(self, teacher: Teacher, path: Path, layout: Layout) -> None:
        self._teacher, self._layout = teacher, layout
        self._file = path.open("a+b", buffering=0)
        self._places: dict[bytes, int] = {}
        size = path.stat().st_size
        self._end = size - size % layout.nbytes
        self._file.truncate(self._end)
        for place in range(0, self._end, layout.nbytes):
            self._places[os.pread(self._file.fileno(), _KEY, place)] = place

    def __len__(self) -> int:
        return len(self._places)

    def answer(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """As the teacher's: what is not known yet is asked, with the whole batch that it came in."""
        import numpy as np

        keys = _keys(inputs)
        if any(key not in self._places for key in keys):
            said = self._teacher.answer(inputs)
            flat = np.concatenate([array.reshape(len(keys), -1) for array in said], axis=1)
            self._add(keys, flat.astype(np.float32))
        records = [
            os.pread(self._file.fileno(), self._layout.nbytes, self._places[key]) for key in keys
        ]
        rows = np.frombuffer(b"".join(records), np.uint8).reshape(len(keys), -1)
        values = np.ascontiguousarray(rows[:, _KEY:]).view(np.float32)
        ends = np.cumsum([prod(shape) for shape in self._layout.shapes])[:-1]
        parts = np.split(values, ends, axis=1)
        return tuple(
            part.reshape(len(keys), *shape)
            for part, shape in zip(parts, self._layout.shapes, strict=True)
        )

    def close(self) -> None:
        self._file.close()

    def _add(self, keys: Sequence[bytes], flat: Array) -> None:
        new = {key: at for at, key in enumerate(keys) if key not in self._places}
        self._file.write(b"".join(key + flat[at].tobytes() for key, at in new.items()))
        for key in new:
            self._places[key] = self._end
            self._end += self._layout.nbytes


def _keys(inputs: tuple[Array, ...]) -> list[bytes]:
    import numpy as np

    whole = [np.ascontiguousarray(array) for array in inputs]
    keys = []
    for at in range(len(whole[0])):
        digest = blake2b(digest_size=_KEY)
        for array in whole:
            digest.update(array[at].tobytes())
        keys.append(digest.digest())
    return keys
