"""Follows the channels through a Keras 3 network, into the networks that are nested in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from taxiway.optimize.channels.flow import Flow
from taxiway.optimize.channels.graph import ChannelGraph, finish
from taxiway.optimize.channels.keras.node import Node, Opaque
from taxiway.optimize.channels.keras.rules import RULES
from taxiway.optimize.channels.layers import Stored
from taxiway.optimize.channels.numbering import Ids
from taxiway.optimize.channels.signal import Constant, Signal, plain
from taxiway.optimize.training.network import named_weights

BATCH, FREE = 7, 224
"""Sizes in place of a free first axis and of any other free axis."""


def trace(network: Any, only: Sequence[str] = (), exclude: Sequence[str] = ()) -> ChannelGraph:
    """The channels of a `keras.Model`. Raises StepError for a pattern that names no layer."""
    tracer = _Tracer(network)
    function = function_of(network)
    inputs = [_plain(tensor, concrete(tensor)) for tensor in function.inputs]
    for name, signal in zip(
        _output_names(network), tracer.follow(function, inputs, ""), strict=True
    ):
        for ids in signal.axes:
            tracer.flow.protect(ids, f"it is output '{name}' of the model")
    return finish(tracer.flow, only, exclude)


def function_of(network: Any) -> Any:
    """The graph of a Functional or a Sequential, as `keras.ops.Function` has it."""
    return getattr(network, "_functional", None) or network


def is_network(operation: Any) -> bool:
    """Whether an operation is a network of layers."""
    return hasattr(function_of(operation), "_nodes_by_depth")


def calls(function: Any) -> Iterator[Any]:
    """The calls of a graph, each after those whose results it takes."""
    for depth in sorted(function._nodes_by_depth, reverse=True):
        for node in function._nodes_by_depth[depth]:
            if not node.is_input and node.operation is not None:
                yield node


def concrete(tensor: Any) -> tuple[int, ...]:
    """The shape of a symbolic tensor with sizes in place of free axes."""
    return tuple(
        size if size is not None else FREE if at else BATCH for at, size in enumerate(tensor.shape)
    )


class _Tracer:
    def __init__(self, network: Any) -> None:
        self.flow = Flow()
        self._names = {id(weight): name for name, weight in named_weights(network).items()}
        self._entries: dict[tuple[str, int], Ids | None] = {}

    def follow(self, function: Any, inputs: Sequence[Signal], prefix: str) -> list[Signal]:
        """The outputs of a graph whose inputs are these."""
        signals = {id(t): s for t, s in zip(function.inputs, inputs, strict=True)}
        for call in calls(function):
            given = [signals[id(tensor)] for tensor in call.input_tensors]
            made = self._call(call, given, f"{prefix}{call.operation.name}")
            signals.update(zip(map(id, call.outputs), made, strict=True))
        return [signals[id(tensor)] for tensor in function.outputs]

    def _call(self, call: Any, given: Sequence[Signal], path: str) -> list[Signal]:
        operation = call.operation
        if is_network(operation):
            self._enter(function_of(operation), given, f"{path}/")
            return self.follow(function_of(operation), given, f"{path}/")
        results = [_plain(t, s) for t, s in zip(call.outputs, _sizes(call, given), strict=True)]
        node = Node(
            path=path,
            operation=operation,
            flow=self.flow,
            arguments=call.arguments.args,
            keywords=call.arguments.kwargs,
            inputs=given,
            results=results,
            names=self._names,
        )
        rule = RULES.get(node.type) if _is_kerass_own(operation) else None
        try:
            if rule is None:
                raise Opaque("is a layer that channels are not followed through")
            made = rule(node)
        except Opaque as reason:
            return self._opaque(node, str(reason))
        for found, wanted in zip(made, results, strict=True):
            if found.shape != wanted.shape:
                for ids in found.axes:
                    self.flow.protect(ids, f"{node.where} gives another shape than expected")
        return made

    def _enter(self, function: Any, given: Sequence[Signal], prefix: str) -> None:
        """A nested network notes the shapes of its inputs: they are the same in every call."""
        for tensor, signal in zip(function.inputs, given, strict=True):
            entry = f"{prefix}{tensor._keras_history.operation.name}"
            for axis, ids in enumerate(signal.axes):
                known = self._entries.setdefault((entry, axis), ids)
                if known is not None and ids is not None:
                    self.flow.numbering.join(known, ids)
                    self.flow.stored.append(Stored(entry, ("batch_shape", axis), ids))
                else:
                    for one in (known, ids):
                        self.flow.protect(one, f"'{prefix}' is called with channels that stay, too")

    def _opaque(self, node: Node, reason: str) -> list[Signal]:
        weights = [
            Constant(self._names[id(variable)], tuple(map(int, variable.shape)))
            for variable in getattr(node.operation, "weights", ())
            if id(variable) in self._names
        ]
        self.flow.opaque([*node.inputs, *weights], node.where, reason)
        if weights:
            self.flow.keep(node.path, f"it {reason}")
        return list(node.results)


def _is_kerass_own(operation: Any) -> bool:
    """A class of somebody else may have the name of one of Keras's own and do another thing."""
    return type(operation).__module__.split(".")[0] == "keras"


def _plain(tensor: Any, shape: tuple[int, ...]) -> Signal:
    return plain(shape, tuple(size is None for size in tensor.shape))


def _sizes(call: Any, given: Sequence[Signal]) -> list[tuple[int, ...]]:
    """The shape of each output, with the sizes that follow from those of free axes of the inputs."""
    import keras

    if not any(None in tensor.shape[1:] for tensor in call.outputs):
        return [concrete(tensor) for tensor in call.outputs]
    sized = {
        id(tensor): keras.KerasTensor(signal.shape, dtype=tensor.dtype)
        for tensor, signal in zip(call.input_tensors, given, strict=True)
    }
    arguments, keywords = call.arguments.fill_in(sized)
    try:
        outputs = call.operation.compute_output_spec(*arguments, **keywords)
    except Exception:
        # The sizes that stand for free axes do not suit this network: no channel passes here.
        return [concrete(tensor) for tensor in call.outputs]
    return [concrete(tensor) for tensor in keras.tree.flatten(outputs)]


def _output_names(network: Any) -> list[str]:
    from taxiway.model.inspect import keras_signature

    return [spec.name for spec in keras_signature(network).outputs]
