"""Magnitude pruning: the smallest weights become zero."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from taxiway.model.promises import Pattern
from taxiway.optimize.operators import OperatorPattern
from taxiway.optimize.training.config import Training
from taxiway.plugins import Config, Pass

Scope = Literal["layer", "global"]
TWO_OF_FOUR = 0.5


class Schedule(Config, frozen=True):
    """How sparsity grows while a network is trained: fast at first, then ever slower."""

    start: Annotated[float, Meta(ge=0, lt=1, description="Sparsity at the first step.")] = 0.0
    end: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Share of all steps after which the sparsity is reached; the rest is "
            "fine-tuning.",
        ),
    ] = 0.5


class PruneMagnitudeConfig(Config, frozen=True):
    """Options of magnitude pruning."""

    sparsity: Annotated[
        Annotated[float, Meta(ge=0, lt=1)] | None,
        Meta(description="Share of zeros in what is pruned. null: 0.8, for pattern 2:4 its 0.5."),
    ] = None
    pattern: Annotated[
        Pattern | None,
        Meta(
            description="Where zeros may be. null: anywhere; 2:4: two of four neighbouring inputs; "
            "block: whole blocks of the weight as a matrix [outputs, inputs]."
        ),
    ] = None
    block: Annotated[
        tuple[Annotated[int, Meta(ge=1)], Annotated[int, Meta(ge=1)]],
        Meta(description="Outputs and inputs of a block, for pattern block."),
    ] = (1, 4)
    scope: Annotated[
        Scope,
        Meta(
            description="layer: every layer gets this sparsity; global: all layers together, where "
            "those that lose less by it get more."
        ),
    ] = "global"
    only: Annotated[
        tuple[OperatorPattern, ...],
        Meta(
            description="Prune these layers and no others: names, types such as Dense, or regular "
            "expressions over whole names. Empty: all but depthwise ones."
        ),
    ] = ()
    exclude: Annotated[
        tuple[OperatorPattern, ...], Meta(description="Leave these layers as they are.")
    ] = ()
    schedule: Annotated[Schedule, Meta(description="For keras: how sparsity grows.")] = Schedule()
    training: Annotated[
        Training,
        Meta(description="For keras: pruning and fine-tuning. `epochs: 0` prunes at once."),
    ] = Training()

    def __post_init__(self) -> None:
        if self.pattern == "2:4" and self.sparsity not in (None, TWO_OF_FOUR):
            raise ValueError("sparsity: pattern 2:4 has a sparsity of 0.5; leave it out")

    @property
    def target(self) -> float:
        """The sparsity, where null has its value."""
        if self.sparsity is not None:
            return self.sparsity
        return TWO_OF_FOUR if self.pattern == "2:4" else 0.8


class PruneMagnitude(Pass):
    """Sets weights of dense, convolutional and recurrent layers to zero, smallest first.

    Keras: sparsity grows while the network is trained, and zeros stay zero in every later pass. ONNX: all
    at once, without training. The file gets smaller when it is compressed, not faster.
    """

    Config = PruneMagnitudeConfig
    approximates = True
    establishes = frozenset({"pruned"})
    instead = "prune_channels removes whole channels"
    undoes = {
        "clustered": "zeros come on top of the shared values: prune first, cluster_weights after it",
        "quantized": "weights are integers by then: prune first, and quantize after it",
    }
    implementations = {
        "keras": "taxiway.optimize.prune.keras:KerasMagnitude",
        "onnx": "taxiway.optimize.prune.onnx:OnnxMagnitude",
    }
