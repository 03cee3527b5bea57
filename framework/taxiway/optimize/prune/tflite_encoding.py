"""TFLite's sparse encoding of a tensor: rows along one axis, of which only what is not zero is stored."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BLOCKS = (1, 2, 4, 8, 16)
"""Neighbours along the axis that one index stands for."""


@dataclass(frozen=True)
class Encoding:
    """Compressed rows (schema.fbs, SparsityParameters).

    order: the axes, the compressed one last. block: neighbours along it that are stored together.
    values: [stored blocks * block], in the tensor's dtype. segments: [rows + 1], where each row's blocks
    begin; indices: [stored blocks], their places in the row. Both in the smallest unsigned type that LiteRT
    reads, 8 or 16 bits, or else int32.
    """

    order: tuple[int, ...]
    block: int
    values: Array
    segments: Array
    indices: Array

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self.values.nbytes + self.segments.nbytes + self.indices.nbytes)


def smallest(tensor: Array) -> Encoding:
    """The encoding of `tensor`, of one axis or more, over all its axes and block sizes that takes the
    fewest bytes."""
    choices = [
        (axis, block)
        for axis, block in product(range(tensor.ndim), BLOCKS)
        if tensor.shape[axis] % block == 0
    ]
    axis, block = min(choices, key=lambda choice: _bytes(tensor, *choice))
    return encode(tensor, axis, block)


def encode(tensor: Array, axis: int, block: int) -> Encoding:
    """`tensor` in rows along `axis`, whose length is a multiple of `block`."""
    import numpy as np

    rows = _rows(tensor, axis, block)
    stored = rows.any(2)
    segments = np.concatenate([[0], np.cumsum(stored.sum(1))])
    return Encoding(
        _order(tensor.ndim, axis),
        block,
        rows[stored].reshape(-1),
        segments.astype(_integer(int(segments[-1]))),
        np.nonzero(stored)[1].astype(_integer(stored.shape[1] - 1)),
    )


def _bytes(tensor: Array, axis: int, block: int) -> int:
    """The size of an encoding that is not made."""
    import numpy as np

    stored = np.asarray(_rows(tensor, axis, block).any(2))
    count = int(stored.sum())
    each = block * tensor.itemsize + np.dtype(_integer(stored.shape[1] - 1)).itemsize
    return count * each + (len(stored) + 1) * np.dtype(_integer(count)).itemsize


def _rows(tensor: Array, axis: int, block: int) -> Array:
    """[rows, blocks, block]."""
    import numpy as np

    length = tensor.shape[axis]
    moved = np.moveaxis(tensor, axis, -1).reshape(-1, length)
    return moved.reshape(len(moved), length // block, block)


def _order(rank: int, axis: int) -> tuple[int, ...]:
    return (*(other for other in range(rank) if other != axis), axis)


def _integer(largest: int) -> str:
    if largest < 2**8:
        return "uint8"
    return "uint16" if largest < 2**16 else "int32"
