"""Options of channel pruning."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from taxiway.optimize.operators import OperatorPattern
from taxiway.optimize.training.config import Training
from taxiway.plugins import CALIBRATION, Config, Selection

Share = Annotated[float, Meta(gt=0, lt=1)]


class Target(Config, frozen=True):
    """What is to be cut of the whole network, in one of two units."""

    macs: Annotated[
        Share | None,
        Meta(description="Share of the multiply-accumulates to cut; they set the speed."),
    ] = None
    parameters: Annotated[
        Share | None, Meta(description="Share of the parameters to cut; they set the size.")
    ] = None

    def __post_init__(self) -> None:
        if (self.macs is None) == (self.parameters is None):
            raise ValueError("target: give macs or parameters, one of the two")


class PruneChannelsConfig(Config, frozen=True):
    """How many channels are cut, and which."""

    share: Annotated[
        Share, Meta(description="Share of the channels to cut, of all that can be cut.")
    ] = 0.5
    target: Annotated[
        Target | None,
        Meta(
            description="Cut channels until this share of the work or of the parameters is gone, such "
            "as `{macs: 0.5}`; `share` is ignored then."
        ),
    ] = None
    importance: Annotated[
        Literal["l1", "activation", "gradient"],
        Meta(
            description="What makes a channel matter. l1: the sum of its absolute weights. activation: "
            "its mean absolute value on samples. gradient: how the loss would change without it, which "
            "needs labels and a Keras model."
        ),
    ] = "l1"
    ranking: Annotated[
        Literal["group", "global"],
        Meta(
            description="group: every group of layers gives the same share. global: channels of all "
            "groups are ranked in one list, each against the mean of its group."
        ),
    ] = "group"
    min_channels: Annotated[int, Meta(ge=1, description="Channels that every group keeps.")] = 1
    round_to: Annotated[
        int,
        Meta(
            ge=1,
            description="What is left of a group is a multiple of this, such as 4 or 8 for SIMD.",
        ),
    ] = 1
    only: Annotated[
        tuple[OperatorPattern, ...],
        Meta(
            description="Cut the outputs of these layers and no others: names, types such as Conv, or "
            "regular expressions over whole names. Empty: all."
        ),
    ] = ()
    exclude: Annotated[
        tuple[OperatorPattern, ...], Meta(description="Layers that keep all their channels.")
    ] = ()
    split: Annotated[
        str | None,
        Meta(
            description="The samples of importance activation and gradient; null: the split of the "
            "training where there is one, else `calibration`."
        ),
    ] = None
    samples: Annotated[
        int, Meta(ge=1, description="At most this many rows of that split, from its start.")
    ] = 256
    iterations: Annotated[
        int,
        Meta(
            ge=1,
            le=50,
            description="Times to cut and train; each cuts the same share of what is left.",
        ),
    ] = 1
    training: Annotated[
        Training,
        Meta(description="For keras: training after each cut. `epochs: 0` only cuts."),
    ] = Training()

    def selection(self, trained_on: str | None = None) -> Selection | None:
        """What the importance is measured on. trained_on: the split of the training that follows."""
        if self.importance == "l1":
            return None
        split = self.split or trained_on or CALIBRATION
        return Selection(split, self.samples, labels=self.importance == "gradient")
