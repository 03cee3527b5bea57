"""A Keras network as a list of calls, nested models laid open, that can be cut and built anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from taxiway.errors import StepError


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor between two calls; each call of a shared layer gives one of its own."""

    shape: tuple[int | None, ...]
    dtype: str

    @property
    def width(self) -> int | None:
        """The size of its last axis."""
        return self.shape[-1] if self.shape else None


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or operation.

    name: the layer's, with those of the nested models that it is in before it. args, kwargs: as the
    layer was called, with a `Value` for each tensor.
    """

    name: str
    operation: Any
    args: Any
    kwargs: Any
    outputs: tuple[Value, ...]

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that go in, in order, from all arguments."""
        import keras

        flat = keras.tree.flatten((self.args, self.kwargs))
        return tuple(item for item in flat if isinstance(item, Value))

    @property
    def kind(self) -> str:
        """The class of the operation, such as `Conv2D`."""
        return type(self.operation).__name__


@dataclass(frozen=True, eq=False)
class Unrolled:
    """Inputs and outputs keep the structure (one, a list, a dict) that the network has them in."""

    name: str
    inputs: Any
    input_names: tuple[str, ...]
    calls: tuple[Call, ...]
    outputs: Any


def unrolled(network: Any) -> Unrolled:
    """The calls of a Functional or Sequential network in an order in which they can be made.

    Raises StepError for a network of another kind: its code alone says what it computes.
    """
    import keras

    graph = _graph(network)
    values: dict[int, Value] = {}
    inputs = keras.tree.map_structure(lambda tensor: _value(tensor, values), graph._inputs_struct)
    calls = tuple(_calls(graph, values, ""))
    outputs = keras.tree.map_structure(lambda tensor: values[id(tensor)], graph._outputs_struct)
    names = tuple(tensor.name for tensor in graph.inputs)
    return Unrolled(network.name, inputs, names, calls, outputs)


def _graph(network: Any) -> Any:
    """The Functional model in a Sequential one, or the network itself."""
    graph = getattr(network, "_functional", None) or network
    if not hasattr(graph, "_nodes_by_depth"):
        raise StepError(
            f"a student cannot be derived from '{network.name}': {type(network).__name__} computes "
            "in Python code, expected a Functional or Sequential model",
            "name the student instead: student.file or student.architecture",
        )
    return graph


def _value(tensor: Any, values: dict[int, Value]) -> Value:
    values[id(tensor)] = Value(tuple(tensor.shape), str(tensor.dtype))
    return values[id(tensor)]


def _calls(graph: Any, values: dict[int, Value], prefix: str) -> Iterator[Call]:
    import keras

    def known(item: Any) -> Any:
        return values[id(item)] if isinstance(item, keras.KerasTensor) else item

    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            operation = node.operation
            if node.is_input:
                continue
            args = keras.tree.map_structure(known, node.arguments.args)
            kwargs = keras.tree.map_structure(known, node.arguments.kwargs)
            name = f"{prefix}{operation.name}"
            if _is_model(operation):
                yield from _nested(operation, (args, kwargs), node.outputs, values, name)
                continue
            outputs = tuple(_value(tensor, values) for tensor in node.outputs)
            yield Call(name, operation, args, kwargs, outputs)


def _is_model(operation: Any) -> bool:
    import keras

    return isinstance(operation, keras.Model)


def _nested(
    model: Any, arguments: Any, outputs: Sequence[Any], values: dict[int, Value], name: str
) -> Iterator[Call]:
    import keras

    graph = _graph(model)
    given = [item for item in keras.tree.flatten(arguments) if isinstance(item, Value)]
    inner = {id(tensor): value for tensor, value in zip(graph.inputs, given, strict=True)}
    yield from _calls(graph, inner, f"{name}_")
    for outer, tensor in zip(outputs, graph.outputs, strict=True):
        values[id(outer)] = inner[id(tensor)]
