"""TFLite's sparse encoding: from the stored values of a tensor to all of them.

Levels of a tree, one for each dimension of the tensor in `traversal_order`, then one for each dimension
that is cut into blocks; each level is dense, or lists the coordinates that are there as compressed rows do
(schema.fbs, SparsityParameters; F. Kjolstad et al., "The Tensor Algebra Compiler", 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from taxiway.safety.flatbuffer import Table

if TYPE_CHECKING:
    import numpy as np

_DENSE = 0


def dense(
    stored: np.ndarray[Any, Any], shape: Sequence[int], sparsity: Table
) -> np.ndarray[Any, Any]:
    """The tensor `[*shape]`; what is not stored is 0. Raises ValueError where the encoding is not of this shape."""
    import numpy as np

    order = [*sparsity.numbers("TraversalOrder")]
    block_map = [*sparsity.numbers("BlockMap")]
    levels = list(sparsity.tables("DimMetadata"))
    rank, blocks = len(shape), len(block_map)
    if sorted(order) != list(range(rank + blocks)) or len(levels) != rank + blocks:
        raise ValueError("its sparse encoding has another number of dimensions")
    if any(not 0 <= axis < rank for axis in block_map):
        raise ValueError("its sparse encoding has blocks of a dimension that is not there")
    block = [1] * rank
    for axis, level in zip(order, levels, strict=True):
        if axis >= rank:
            block[block_map[axis - rank]] = level.number("DenseSize")
    size = int(np.prod(shape, dtype=np.int64))
    places = np.zeros(1, np.int64)
    found = np.zeros((1, rank), np.int64)
    for axis, level in zip(order, levels, strict=True):
        parents, coordinates, places = _children(level, places, size)
        found = found[parents]
        if axis < rank:
            found[:, axis] += coordinates * block[axis]
        else:
            found[:, block_map[axis - rank]] += coordinates
    if places.size and (places.max() >= stored.size or np.any(found >= np.array(shape))):
        raise ValueError("its sparse encoding names values that are not there")
    values = np.zeros(tuple(shape), stored.dtype)
    values[tuple(found.T)] = stored[places]
    return values


def _children(
    level: Table, places: np.ndarray[Any, Any], limit: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The nodes of a level: index of each one's parent, its coordinate, and its place in the level."""
    import numpy as np

    if level.number("Format") == _DENSE:
        width = level.number("DenseSize")
        if width < 1 or width * len(places) > limit:
            raise ValueError("its sparse encoding is larger than the tensor")
        parents = np.repeat(np.arange(len(places)), width)
        coordinates = np.tile(np.arange(width), len(places))
        return parents, coordinates, np.repeat(places, width) * width + coordinates
    segments, indices = _numbers(level, "ArraySegments"), _numbers(level, "ArrayIndices")
    if places.size and places.max() + 1 >= segments.size:
        raise ValueError("its sparse encoding has fewer segments than rows")
    starts, counts = segments[places], segments[places + 1] - segments[places]
    if np.any(counts < 0) or counts.sum() > min(limit, indices.size) or np.any(starts < 0):
        raise ValueError("its sparse encoding has segments of wrong lengths")
    parents = np.repeat(np.arange(len(places)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    children = np.repeat(starts, counts) + within
    if children.size and (children.max() >= indices.size or indices[children].min() < 0):
        raise ValueError("its sparse encoding has segments of wrong lengths")
    return parents, indices[children], children


def _numbers(level: Table, field: str) -> np.ndarray[Any, Any]:
    import numpy as np

    vector = level.table(field)
    return np.array(vector.numbers("Values") if vector is not None else [], np.int64)
