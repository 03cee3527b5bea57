"""The view of a clustered weight: elements that share a value go on sharing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taxiway.optimize.training.views import View

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class SharedValues(View):
    """Shows the mean of each group of elements in place of its members.

    Members get the mean of their gradients (Han et al. 2016, "Deep Compression", section 3), so that a
    group moves as one.
    """

    def __init__(self, groups: Mapping[str, Array]) -> None:
        """groups: weight name -> int32 group of each element, in the weight's shape, counted from 0."""
        import numpy as np
        import tensorflow as tf

        self.weights = tuple(groups)
        self._groups = {
            name: tf.constant(np.ravel(group), tf.int32) for name, group in groups.items()
        }
        self._counts = {name: int(np.max(group)) + 1 for name, group in groups.items()}

    def see(self, weight: str, value: Any) -> Any:
        import tensorflow as tf

        group, count = self._groups[weight], self._counts[weight]
        means = tf.math.unsorted_segment_mean(tf.reshape(value, [-1]), group, count)
        return tf.reshape(tf.gather(means, group), tf.shape(value))
