"""Channel pruning of Keras models, with a training after each cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from taxiway.model import Model, Signature
from taxiway.optimize.channels.prune import PruneChannels
from taxiway.plugins import Context, Selection

if TYPE_CHECKING:
    import numpy as np

    from taxiway.optimize.channels.graph import ChannelGraph, Cut

    Array = np.ndarray[Any, Any]


class KerasChannels(PruneChannels):
    """Builds the network anew with fewer filters and units, and trains what is left."""

    libraries = ("tensorflow", "keras", "tf-keras")
    trains = True
    machine_dependent = True

    def reads(self, options: Any) -> tuple[Selection, ...]:
        return tuple(dict.fromkeys((*super().reads(options), *options.training.reads())))

    def selection(self, options: Any) -> Selection | None:
        training = options.training
        found: Selection | None = options.selection(training.split if training.epochs else None)
        return found

    def check(self, options: Any) -> None:
        if options.iterations > 1 and not options.training.epochs:
            raise ValueError("'iterations' above 1 train after each cut, and training.epochs is 0")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from taxiway.optimize.channels.choice import remaining
        from taxiway.optimize.channels.cutting import Goal, cut_once, facts, traced
        from taxiway.optimize.training.network import load_network, save_network

        network = KerasNetwork(load_network(model, context), model.path.name, options)
        first = graph = traced(network, options)
        goal, selection, proofs = Goal.of(options), self.selection(options), []
        whole = remaining(graph, goal.metric, graph.nothing())
        for step in range(1, goal.steps + 1):
            done = cut_once(network, graph, goal.left(whole, step), options, selection, context)
            proofs.append(done.proof)
            assert isinstance(done.network, KerasNetwork)
            network = done.network
            graph = traced(network, options)
            context.tell("channels", facts(first, graph, proofs))
            if options.training.epochs:
                network.train(f"training {step}" if goal.steps > 1 else "training", context)
        # What was promised of weights of another size ends here.
        return save_network(network.network, replace(model, promises=()), context)


class KerasNetwork:
    """A `keras.Model`."""

    def __init__(self, network: Any, name: str, options: Any) -> None:
        from taxiway.model.inspect import keras_signature
        from taxiway.optimize.training.network import named_weights

        self.network, self.name, self._options = network, name, options
        self.signature: Signature = keras_signature(network)
        self._weights = named_weights(network)

    def trace(self, only: Sequence[str], exclude: Sequence[str]) -> ChannelGraph:
        from taxiway.optimize.channels.keras.trace import trace

        return trace(self.network, only, exclude)

    def read(self, weight: str) -> Array:
        import numpy as np

        return np.asarray(self._weights[weight].value)

    def means(self, graph: ChannelGraph, selection: Selection, context: Context) -> list[Array]:
        from taxiway.optimize.channels.keras.samples import means

        return means(self.network, graph, selection, context)

    def products(self, selection: Selection, context: Context) -> Iterator[Mapping[str, Array]]:
        from taxiway.optimize.channels.keras.samples import products

        return products(self.network, selection, context, self._options.training.output)

    def without(self, graph: ChannelGraph, cut: Cut) -> KerasNetwork:
        from taxiway.optimize.channels.keras.rebuild import without

        return KerasNetwork(without(self.network, graph, cut), self.name, self._options)

    def outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        from taxiway.errors import StepError
        from taxiway.model.runners.binding import bind, store
        from taxiway.model.runners.tensorflow_runner import traced

        bound = bind(self.signature, inputs)
        stored = [store(spec, bound[spec.name]) for spec in self.signature.inputs]
        try:
            return [output.numpy() for output in traced(self.network, self.signature)(*stored)]
        except Exception as error:
            raise StepError(f"{self.name} does not take these inputs: {error}") from error

    def muted_outputs(
        self, graph: ChannelGraph, cut: Cut, inputs: Mapping[str, Array]
    ) -> list[Array]:
        from taxiway.optimize.channels.graph import muted_weight

        before = {name: self.read(name).copy() for name in self._weights}
        try:
            for name, values in before.items():
                self._weights[name].assign(muted_weight(graph, name, values, cut))
            return self.outputs(inputs)
        finally:
            for name, values in before.items():
                self._weights[name].assign(values)

    def train(self, name: str, context: Context) -> None:
        from taxiway.optimize.training.fit import fit

        fit(self.network, None, self._options.training, context, name=name)
