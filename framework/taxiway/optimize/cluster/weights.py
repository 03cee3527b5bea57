"""Clustering: each weight of a layer gets few values, which its elements share."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from taxiway.optimize.operators import OperatorPattern
from taxiway.optimize.training.config import Training
from taxiway.plugins import Config, Pass, Selection


class ClusterWeightsConfig(Config, frozen=True):
    """Options of clustering."""

    clusters: Annotated[
        int, Meta(ge=2, le=256, description="Distinct values of each weight; zeros count as one.")
    ] = 16
    only: Annotated[
        tuple[OperatorPattern, ...],
        Meta(
            description="Cluster these layers and no others: names, types such as Dense, or regular "
            "expressions over whole names. Empty: all."
        ),
    ] = ()
    exclude: Annotated[
        tuple[OperatorPattern, ...], Meta(description="Leave the weights of these layers.")
    ] = ()
    preserve_sparsity: Annotated[
        bool,
        Meta(
            description="Keep each zero a zero in every weight. A weight that was pruned keeps its "
            "zeros in any case."
        ),
    ] = False
    training: Annotated[
        Training,
        Meta(description="Fine-tuning of the shared values, on Keras; epochs=0 does without."),
    ] = Training(epochs=3, learning_rate=2e-4)


class ClusterWeights(Pass):
    """Gives each weight few distinct values, so that its file compresses well.

    Keras: k-means, then the values are trained. ONNX: k-means alone.
    """

    Config = ClusterWeightsConfig
    implementations = {
        "keras": "taxiway.optimize.cluster.on_keras:KerasClusters",
        "onnx": "taxiway.optimize.cluster.on_onnx:OnnxClusters",
    }
    establishes = frozenset({"clustered"})
    undoes = {
        "quantized": "integers have a scale of their own in each channel; cluster first, quantize after"
    }
    approximates = True

    def reads(self, options: Any) -> tuple[Selection, ...]:
        return ()
