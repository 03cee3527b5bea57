"""What the pass needs of a network, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from taxiway.model import Signature
from taxiway.plugins import Context, Selection

if TYPE_CHECKING:
    import numpy as np

    from taxiway.optimize.channels.graph import ChannelGraph, Cut

    Array = np.ndarray[Any, Any]


class Prunable(Protocol):
    """A network in memory. It is never changed: a cut gives another one.

    name: as messages name it.
    """

    name: str
    signature: Signature

    def trace(self, only: Sequence[str], exclude: Sequence[str]) -> ChannelGraph: ...

    def read(self, weight: str) -> Array:
        """The values of a weight."""

    def means(self, graph: ChannelGraph, selection: Selection, context: Context) -> list[Array]:
        """For each tap of the graph the mean absolute value at each place, over the samples."""

    def products(self, selection: Selection, context: Context) -> Iterator[Mapping[str, Array]]:
        """For each batch of the samples: weight -> weight x gradient of the loss, elementwise."""

    def without(self, graph: ChannelGraph, cut: Cut) -> Prunable:
        """The network without the channels that are cut."""

    def outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        """What the network gives. Raises StepError where it does not take these inputs."""

    def muted_outputs(
        self, graph: ChannelGraph, cut: Cut, inputs: Mapping[str, Array]
    ) -> list[Array]:
        """What the whole network gives where no layer takes in a channel that is cut."""
