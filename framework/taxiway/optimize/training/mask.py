"""The view of a sparse weight: zeros stay zeros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from taxiway.optimize.training.views import View

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


class Mask(View):
    """Multiplies weights by masks of 0 and 1; a masked weight gets no gradient."""

    def __init__(self, masks: Mapping[str, Array]) -> None:
        """masks: weight name -> booleans of the weight's shape, true where it is kept."""
        import tensorflow as tf

        self.weights = tuple(masks)
        # As bytes: a mask is no fourth copy of the weights beside Adam's two.
        self._masks = {
            name: tf.Variable(mask, dtype=tf.bool, trainable=False) for name, mask in masks.items()
        }

    def see(self, weight: str, value: Any) -> Any:
        import tensorflow as tf

        return value * tf.cast(self._masks[weight], value.dtype)

    def assign(self, masks: Mapping[str, Array]) -> None:
        """Take other masks, of the same shapes."""
        for name, mask in masks.items():
            self._masks[name].assign(mask)

    def state(self) -> dict[str, Array]:
        return {name: variable.numpy() for name, variable in self._masks.items()}

    def restore(self, state: Mapping[str, Array]) -> None:
        self.assign(state)
