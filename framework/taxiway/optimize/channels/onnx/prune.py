"""Channel pruning of ONNX models: one cut, without training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.model import Model, Signature
from taxiway.optimize.channels.prune import PruneChannels
from taxiway.optimize.training.config import Training
from taxiway.plugins import Context, Selection

if TYPE_CHECKING:
    import numpy as np

    from taxiway.optimize.channels.graph import ChannelGraph, Cut

    Array = np.ndarray[Any, Any]


class OnnxChannels(PruneChannels):
    """Cuts initializers; ONNX Runtime measures activations and proves the cut."""

    libraries = ("onnx", "onnxruntime")

    def check(self, options: Any) -> None:
        if options.training not in (Training(), Training(epochs=0)):
            raise ValueError(
                "'training' works on keras only: an ONNX model is cut once and not trained; leave it out"
            )
        if options.importance == "gradient":
            raise ValueError(
                "importance 'gradient' works on keras only, an ONNX model has no gradients; take "
                "activation"
            )
        if options.iterations > 1:
            raise ValueError(
                "'iterations' above 1 cut and train in turn, which works on keras only"
            )

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import onnx

        from taxiway.model.onnx_file import check_file, write_graph
        from taxiway.optimize.channels.cutting import Goal, cut_once, facts, traced
        from taxiway.optimize.channels.onnx.constants import with_plain_constants
        from taxiway.optimize.result import optimized

        proto = onnx.load(str(model.path))
        with_plain_constants(proto)
        network = OnnxNetwork(proto, model.path.name, model.signature)
        graph = traced(network, options)
        from taxiway.optimize.channels.choice import remaining

        goal = Goal.of(options)
        at_most = goal.left(remaining(graph, goal.metric, graph.nothing()), 1)
        done = cut_once(network, graph, at_most, options, self.selection(options), context)
        after = traced(done.network, options)
        context.tell("channels", facts(graph, after, [done.proof]))
        assert isinstance(done.network, OnnxNetwork)
        path = write_graph(done.network.proto, context.workdir / "model.onnx")
        check_file(path)
        return optimized(model, path)


class OnnxNetwork:
    """A ModelProto with plain constants."""

    def __init__(self, proto: Any, name: str, signature: Signature) -> None:
        self.proto, self.name, self.signature = proto, name, signature
        self._tensors = {tensor.name: tensor for tensor in proto.graph.initializer}

    def trace(self, only: Sequence[str], exclude: Sequence[str]) -> ChannelGraph:
        from taxiway.optimize.channels.onnx.trace import trace

        return trace(self.proto, only, exclude)

    def read(self, weight: str) -> Array:
        from onnx import numpy_helper

        array: Array = numpy_helper.to_array(self._tensors[weight])
        return array

    def means(self, graph: ChannelGraph, selection: Selection, context: Context) -> list[Array]:
        from taxiway.optimize.channels.onnx.activations import means

        return means(self.proto, self.signature, graph, selection, context)

    def products(self, selection: Selection, context: Context) -> Iterator[Mapping[str, Array]]:
        raise StepError("an ONNX model has no gradients", "importance=activation")

    def without(self, graph: ChannelGraph, cut: Cut) -> OnnxNetwork:
        from taxiway.optimize.channels.onnx.rebuild import without

        return OnnxNetwork(without(self.proto, graph, cut), self.name, self.signature)

    def outputs(self, inputs: Mapping[str, Array]) -> list[Array]:
        return _outputs(self.proto, self.signature, inputs)

    def muted_outputs(
        self, graph: ChannelGraph, cut: Cut, inputs: Mapping[str, Array]
    ) -> list[Array]:
        from taxiway.optimize.channels.onnx.rebuild import muted

        return _outputs(muted(self.proto, graph, cut), self.signature, inputs)


def _outputs(proto: Any, signature: Signature, inputs: Mapping[str, Array]) -> list[Array]:
    from taxiway.model.onnx_file import write_graph
    from taxiway.model.runners import open_runner

    with TemporaryDirectory() as folder:
        path = write_graph(proto, Path(folder) / "model.onnx")
        runner = open_runner(Model(format="onnx", path=path, signature=signature))
        found = runner.predict(inputs)
    return [found[spec.name] for spec in signature.outputs]
