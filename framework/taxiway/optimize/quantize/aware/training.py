"""The pass: fold, insert what quantizing will do, train, and give a float network back."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.quantize.granularity import GranularityOption
from taxiway.optimize.quantize.operators import OperatorPattern
from taxiway.optimize.training.config import Training
from taxiway.plugins import Config, Context, Pass, Selection


class QuantizeAwareTrainingConfig(Config, frozen=True):
    """Options of quantization-aware training."""

    granularity: GranularityOption = None
    activations: Annotated[
        bool,
        Meta(description="Round activations, too, as quantize_static does; false: weights only."),
    ] = True
    only: Annotated[
        tuple[OperatorPattern, ...],
        Meta(
            description="Round weights and outputs of these layers and no others: names, types such "
            "as Conv2D, or regular expressions over whole names. Empty: all."
        ),
    ] = ()
    exclude: Annotated[
        tuple[OperatorPattern, ...], Meta(description="Leave these layers in float32.")
    ] = ()
    training: Training = Training(epochs=5, learning_rate=5e-4)


class QuantizeAwareTraining(Pass):
    """Trains a Keras network with the rounding that 8-bit quantization will do.

    The result is a float network without batch normalizations that could be folded; a later quantize_static
    makes its integers. Keeps the zeros and the shared values of earlier passes.
    """

    Config = QuantizeAwareTrainingConfig
    accepts = frozenset({"keras"})
    libraries = ("tensorflow", "keras")
    establishes = frozenset({"trained"})
    approximates = True
    seeded = True
    trains = True

    def reads(self, options: Any) -> tuple[Selection, ...]:
        selections: tuple[Selection, ...] = options.training.reads()
        return selections

    def check(self, options: Any) -> None:
        if not options.training.epochs:
            raise ValueError(
                "training.epochs is 0: without training, quantize_static alone does the same"
            )

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import numpy as np
        from msgspec.structs import replace

        from taxiway.model.promises import Clusters
        from taxiway.optimize.fold import fold_batch_norm, is_graph
        from taxiway.optimize.kernels import graph_layers, kernels
        from taxiway.optimize.quantize.aware.network import Rounding
        from taxiway.optimize.quantize.aware.ranges import observe
        from taxiway.optimize.quantize.aware.weights import RoundedWeights, shared_groups
        from taxiway.optimize.quantize.granularity import granularity_of
        from taxiway.optimize.quantize.operators import Operator, precisions
        from taxiway.optimize.training.fit import fit
        from taxiway.optimize.training.network import load_network, named_weights, save_network

        per_channel = granularity_of(options.granularity, model) == "per_channel"
        if per_channel and any(isinstance(item, Clusters) for item in model.promises):
            raise StepError(
                "a scale for each channel would make more values than the earlier clustering left",
                "leave granularity out, or set it to per_tensor, here and for quantize_static",
            )
        network = load_network(model, context)
        if not is_graph(network):
            raise StepError(
                f"{model.path.name} is a {type(network).__name__}, whose graph Keras does not know",
                "build it with keras.Input, as Functional or Sequential, and save it again",
            )
        network = fold_batch_norm(network)
        layers = [Operator(item.name, type(item).__name__) for item in graph_layers(network)]
        left = precisions(list(dict.fromkeys(layers)), options.only, options.exclude)
        with Rounding(network, left, options.activations) as rounding:
            names = {id(item): name for name, item in named_weights(rounding.network).items()}
            rounded = {
                names[id(kernel.variable)]: kernel.channels if per_channel else ()
                for kernel in kernels(network)
                if kernel.layer.name not in left
            }
            if not rounded:
                raise StepError(
                    f"nothing to quantize: {model.path.name} has no layer with a kernel",
                    "leave the pass out, or check `only` and `exclude`",
                )
            ours = {name: names[id(item)] for name, item in named_weights(network).items()}
            before = replace(
                model,
                promises=tuple(
                    replace(item, weight=ours.get(item.weight, item.weight))
                    for item in model.promises
                ),
            )
            observe(rounding, options.training, context)
            values = {
                name: np.asarray(item)
                for name, item in named_weights(rounding.network).items()
                if name in rounded
            }
            views = (RoundedWeights(rounded, shared_groups(values, before.promises)),)
            fit(rounding.network, before, options.training, context, views=views)
        return save_network(network, model, context)
