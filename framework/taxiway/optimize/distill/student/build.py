"""Builds a network from calls, with other sizes where they are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taxiway.errors import StepError
from taxiway.optimize.distill.student.unrolled import Call, Unrolled, Value

Changes = Mapping[int, Mapping[str, Any]]
"""`id` of an operation -> the entries of its config that change."""


def build(graph: Unrolled, changes: Changes) -> Any:
    """The network (keras.Model) of the calls, with fresh weights, and inputs and outputs in the same
    structure and of the same names.

    A layer whose weights all keep their shapes starts from those that it had. Raises StepError that
    names the layer which does not fit what it gets.
    """
    import keras

    tensors: dict[Value, Any] = {}
    layers: dict[int, Any] = {}
    flat = keras.tree.flatten(graph.inputs)
    for value, name in zip(flat, graph.input_names, strict=True):
        tensors[value] = keras.Input(batch_shape=value.shape, dtype=value.dtype, name=name)
    for call in graph.calls:
        layer = layers.get(id(call.operation))
        if layer is None:
            layer = layers[id(call.operation)] = _layer(call, changes)
        _record(call, _made(call, layer, tensors), tensors)
    inputs, outputs = (
        keras.tree.map_structure(lambda value: tensors[value], side)
        for side in (graph.inputs, graph.outputs)
    )
    network = keras.Model(inputs, outputs, name=graph.name)
    network.trainable = True
    for call in graph.calls:
        _inherit(call.operation, layers[id(call.operation)])
    return network


def _layer(call: Call, changes: Changes) -> Any:
    config = _unbuilt(call.operation.get_config())
    config |= {"name": call.name, **_unbuilt(changes.get(id(call.operation), {}))}
    try:
        return type(call.operation).from_config(config)
    except Exception as error:
        raise _misfit(call, error) from error


def _unbuilt(config: Any) -> Any:
    """Without the shapes that the layers in a wrapper were built for."""
    if isinstance(config, dict):
        return {key: _unbuilt(value) for key, value in config.items() if key != "build_config"}
    if isinstance(config, list | tuple):
        return type(config)(map(_unbuilt, config))
    return config


def _made(call: Call, layer: Any, tensors: Mapping[Value, Any]) -> list[Any]:
    import keras

    def placed(item: Any) -> Any:
        return tensors[item] if isinstance(item, Value) else item

    try:
        made = layer(
            *keras.tree.map_structure(placed, call.args),
            **keras.tree.map_structure(placed, call.kwargs),
        )
    except Exception as error:
        raise _misfit(call, error) from error
    outputs = keras.tree.flatten(made)
    for tensor in outputs:
        if 0 in tensor.shape:
            raise _misfit(call, f"its output would be empty: {list(tensor.shape)}")
    return list(outputs)


def _record(call: Call, made: list[Any], tensors: dict[Value, Any]) -> None:
    for value, tensor in zip(call.outputs, made, strict=True):
        tensors[value] = tensor


def _misfit(call: Call, why: object) -> StepError:
    return StepError(
        f"the student cannot be derived: layer '{call.name}' ({call.kind}) does not fit: "
        f"{' '.join(str(why).split())[:400]}",
        "name layers that stay as they are: student.keep=[...], or give student.file",
    )


def _inherit(teacher: Any, student: Any) -> None:
    """Weights that fit are a better start than random ones (Sanh et al., DistilBERT, 2019)."""
    old, new = getattr(teacher, "weights", ()), getattr(student, "weights", ())
    if old and [tuple(w.shape) for w in old] == [tuple(w.shape) for w in new]:
        student.set_weights(teacher.get_weights())
