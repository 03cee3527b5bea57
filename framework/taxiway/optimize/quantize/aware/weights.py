"""The view of a weight that will be stored as 8-bit integers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxiway.model.promises import Clusters, Promise, Sparsity
from taxiway.optimize.quantize.aware.grid import rounded_codebook, rounded_weight
from taxiway.optimize.training.views import View

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MAX_APART = 128
"""Shared values that are kept apart; of more, two may meet on one of the 255 steps."""


@dataclass(frozen=True)
class Groups:
    """Which elements share a value: index from 0 in the weight's shape, how many, and which one stays 0."""

    index: Array
    count: int
    zero: int | None = None


class RoundedWeights(View):
    """Shows each weight on the grid that its integers will have; gradients pass through the rounding.

    Shared values stay as many as they are.
    """

    def __init__(
        self, channels: Mapping[str, tuple[int, ...]], groups: Mapping[str, Groups] | None = None
    ) -> None:
        """channels: weight name -> axes that have scales of their own, empty for one scale. groups: those of
        weights of one scale that were clustered."""
        self.weights = tuple(channels)
        self._channels, self._groups = dict(channels), dict(groups or {})

    def see(self, weight: str, value: Any) -> Any:
        import tensorflow as tf

        groups = self._groups.get(weight)
        if groups is None:
            return rounded_weight(value, self._channels[weight])
        index = tf.constant(groups.index.reshape(-1), tf.int32)
        shared = tf.math.unsorted_segment_mean(tf.reshape(value, [-1]), index, groups.count)
        # A static size: the steps are kept apart by a table of pairs.
        rounded = rounded_codebook(tf.ensure_shape(shared, [groups.count]), groups.zero)
        shown = tf.reshape(tf.gather(rounded, index), tf.shape(value))
        return value + tf.stop_gradient(shown - value)


def shared_groups(values: Mapping[str, Array], promises: Iterable[Promise]) -> dict[str, Groups]:
    """The groups of the weights that earlier passes clustered, by name. values: weight name -> what it holds."""
    import numpy as np

    promises = tuple(promises)
    sparse = {item.weight for item in promises if isinstance(item, Sparsity)}
    found = {}
    for promise in promises:
        if isinstance(promise, Clusters) and promise.weight in values:
            table, index = np.unique(values[promise.weight], return_inverse=True)
            at = int(np.searchsorted(table, 0))
            has_zero = promise.weight in sparse and at < table.size and table[at] == 0
            if table.size <= MAX_APART:
                found[promise.weight] = Groups(
                    index.astype(np.int32), table.size, at if has_zero else None
                )
    return found
