"""k-means of numbers on a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MAX_ROUNDS = 100


def shared_values(
    values: np.ndarray[Any, Any], count: int, keep_zeros: bool = False
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """At most `count` values and which of them stands for each element: float32 `[k]` ascending, int32 of
    the shape of `values`.

    Lloyd's algorithm from centroids at equal distances, which keeps large weights better than random or
    density-based ones (S. Han, H. Mao, W. Dally, "Deep Compression", 2016, section 3.2). A centroid that
    stands for nothing takes half of the group of the largest squared error. keep_zeros: what is zero stays
    zero and 0 is one of the values; nothing else is drawn to it. Values that are as few already stay.
    values: finite, float32 or narrower.
    """
    import numpy as np

    flat = values.astype(np.float32).reshape(-1)
    is_zero = flat == 0
    separate = keep_zeros and bool(is_zero.any())
    rest = np.sort(flat[~is_zero] if separate else flat)
    wanted = count - 1 if separate else count
    found = np.unique(rest)
    if found.size > wanted:
        found = _lloyd(rest.astype(np.float64), wanted) if wanted else found[:0]
    found = found.astype(np.float32)
    # Rounded to float32, two may be one, and one may be the zero.
    table = np.unique(np.append(found, np.float32(0)) if separate else found)
    nearest = _nearest(flat, np.unique(found)) if found.size else np.zeros(flat.size, np.int64)
    shown = np.unique(found)[nearest] if found.size else np.zeros_like(flat)
    if separate:
        shown[is_zero] = 0
    groups = np.searchsorted(table, shown).astype(np.int32)
    return table, groups.reshape(values.shape)


def _lloyd(ordered: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """Centroids float64 `[<= count]` of ascending float64 values with more than `count` distinct ones."""
    import numpy as np

    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    squares = np.concatenate([[0.0], np.cumsum(ordered**2)])
    centroids = np.linspace(ordered[0], ordered[-1], count)
    bounds = np.zeros(0)
    for _ in range(MAX_ROUNDS):
        edges = _edges(ordered, centroids)
        edges = _without_empty(ordered, edges, sums, squares)
        sizes = np.diff(edges)
        centroids = (sums[edges[1:]] - sums[edges[:-1]]) / sizes
        # The sum of many numbers may leave the range of those it is the mean of.
        centroids = np.clip(centroids, ordered[edges[:-1]], ordered[edges[1:] - 1])
        if np.array_equal(edges, bounds):
            break
        bounds = edges
    return np.unique(centroids)


def _edges(ordered: np.ndarray[Any, Any], centroids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Where each centroid's group begins, and the end: int `[count + 1]`."""
    import numpy as np

    middles = (centroids[1:] + centroids[:-1]) / 2
    inner = np.searchsorted(ordered, middles, side="right")
    return np.concatenate([[0], inner, [ordered.size]])


def _without_empty(
    ordered: np.ndarray[Any, Any],
    edges: np.ndarray[Any, Any],
    sums: np.ndarray[Any, Any],
    squares: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any]:
    """The same number of groups, as far as there are distinct values, none of them empty."""
    import numpy as np

    count = edges.size - 1
    edges = np.unique(edges)
    while edges.size - 1 < count:
        low, high = edges[:-1], edges[1:]
        sizes = high - low
        spread = ordered[high - 1] > ordered[low]
        if not spread.any():
            break
        errors = squares[high] - squares[low] - (sums[high] - sums[low]) ** 2 / sizes
        at = int(np.argmax(np.where(spread, np.maximum(errors, 0), -1)))
        mean = (sums[high[at]] - sums[low[at]]) / sizes[at]
        middle = low[at] + np.searchsorted(ordered[low[at] : high[at]], mean, side="right")
        middle = min(max(middle, low[at] + 1), high[at] - 1)
        # Equal values stay together.
        first = np.searchsorted(ordered, ordered[middle], side="left")
        middle = (
            first if first > low[at] else np.searchsorted(ordered, ordered[middle], side="right")
        )
        edges = np.insert(edges, at + 1, middle)
    return edges


def _nearest(values: np.ndarray[Any, Any], table: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Index of the nearest of ascending `table`, the lower one where two are as near."""
    import numpy as np

    middles = (table[1:].astype(np.float64) + table[:-1]) / 2
    return np.searchsorted(middles, values.astype(np.float64), side="left")
