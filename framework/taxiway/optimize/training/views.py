"""Views: how the forward pass sees a weight while the stored weight is trained.

Pruning sees it through a mask, clustering sees shared values, quantization-aware training sees rounded
ones. A training may look at one weight through several of them, one after the other. At its end what is
seen is written into the network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Read = Callable[[str], "Array"]
"""Weight name -> its values, as earlier views show them."""


class View:
    """How some weights of a network are seen.

    `see` is traced once into the graph of a step: what changes from step to step belongs into a
    `tf.Variable` that `advance` assigns.
    """

    weights: tuple[str, ...] = ()
    """Names of the weights it is for, as `named_weights` gives them; all are trainable."""

    def see(self, weight: str, value: Any) -> Any:
        """What the forward pass gets for `value`, a `tf.Tensor`: of its shape and dtype, differentiable."""
        raise NotImplementedError

    def advance(self, read: Read, done: float) -> None:
        """Called before each step, and once with `done` = 1.0 after the last one.

        read: weight name -> what is stored, as earlier views show it. done: share of all steps, 0..1.
        """

    @property
    def settled(self) -> bool:
        """Whether what it shows now is what the pass promises: early stopping may keep such weights."""
        return True

    def state(self) -> Mapping[str, Array]:
        """What `advance` changed: a checkpoint keeps it."""
        return {}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from what `state` gave."""


class Views:
    """Views of a network, looked through in their order."""

    def __init__(self, views: Sequence[View]) -> None:
        self.views = tuple(views)
        self.weights = tuple(dict.fromkeys(name for view in self.views for name in view.weights))

    def see(self, weight: str, value: Any, before: View | None = None) -> Any:
        """`value` through all views of this weight, or through those that come before one of them."""
        for view in self.views:
            if view is before:
                break
            if weight in view.weights:
                value = view.see(weight, value)
        return value

    def advance(self, weights: Mapping[str, Any], done: float) -> None:
        """Let every view change. weights: name -> `keras.Variable`."""
        import numpy as np

        for view in self.views:

            def read(name: str, view: View = view) -> Array:
                return np.asarray(self.see(name, weights[name].value, before=view))

            view.advance(read, done)

    @property
    def settled(self) -> bool:
        return all(view.settled for view in self.views)

    def state(self) -> dict[str, Array]:
        return {
            f"{at}.{key}": value
            for at, view in enumerate(self.views)
            for key, value in view.state().items()
        }

    def restore(self, state: Mapping[str, Array]) -> None:
        for at, view in enumerate(self.views):
            mine = f"{at}."
            view.restore(
                {
                    key.removeprefix(mine): value
                    for key, value in state.items()
                    if key.startswith(mine)
                }
            )

    def bake(self, weights: Mapping[str, Any]) -> None:
        """Write what is seen into the network: from here on the weight is it."""
        for name in self.weights:
            weights[name].assign(self.see(name, weights[name].value))
