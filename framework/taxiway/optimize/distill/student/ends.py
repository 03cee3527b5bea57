"""Inputs and outputs of a student: held against the teacher's, and given their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Signature, TensorSpec
from taxiway.optimize.distill.student.build import build
from taxiway.optimize.distill.student.unrolled import Call, Unrolled, Value, unrolled


def check_ends(student: Signature, teacher: Signature, named: str) -> None:
    """Raise StepError, with both shapes, where the student takes or gives something else.

    named: what the student is called in the message. Names may differ.
    """
    for kind, ours, theirs in (
        ("inputs", student.inputs, teacher.inputs),
        ("outputs", student.outputs, teacher.outputs),
    ):
        if [_shown(spec) for spec in _ordered(ours, theirs)] != [_shown(spec) for spec in theirs]:
            raise StepError(
                f"{named} and the teacher differ in their {kind}: the student has "
                f"{', '.join(map(str, ours))}; the teacher {', '.join(map(str, theirs))}",
                "give a student of the same shapes, dtypes and number of classes",
            )


def _shown(spec: TensorSpec) -> tuple[str, list[int | None]]:
    return spec.dtype, [axis if isinstance(axis, int) else None for axis in spec.shape]


def _ordered(ours: Sequence[TensorSpec], theirs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """In the teacher's order where the names are the same, else as they are."""
    by_name = {spec.name: spec for spec in ours}
    names = [spec.name for spec in theirs]
    return [by_name[name] for name in names] if set(by_name) == set(names) else list(ours)


def renamed(student: Any, ours: Signature, teacher: Any, theirs: Signature) -> Any:
    """The student with the teacher's names, order and structure of inputs and outputs, its weights kept.

    The ends must fit, as `check_ends` says. Raises StepError for a student that is no Functional or
    Sequential model.
    """
    import keras

    if ours == theirs and _structures(student) == _structures(teacher):
        return student
    graph, like = unrolled(student), unrolled(teacher)
    inputs = _picked(ours.inputs, theirs.inputs, keras.tree.flatten(graph.inputs))
    outputs = _picked(ours.outputs, theirs.outputs, keras.tree.flatten(graph.outputs))
    named = [_named(value, spec.name) for value, spec in zip(outputs, theirs.outputs, strict=True)]
    taken = {*like.input_names, *(spec.name for spec in theirs.outputs)}
    calls = [replace(call, name=_free(call.name, taken)) for call in graph.calls]
    changed = Unrolled(
        student.name,
        keras.tree.pack_sequence_as(like.inputs, inputs),
        like.input_names,
        (*calls, *named),
        keras.tree.pack_sequence_as(like.outputs, [call.outputs[0] for call in named]),
    )
    return build(changed, {})


def _structures(network: Any) -> tuple[Any, Any]:
    import keras

    graph = getattr(network, "_functional", None) or network
    return tuple(
        keras.tree.map_structure(lambda _: None, getattr(graph, side, None))
        for side in ("_inputs_struct", "_outputs_struct")
    )


def _picked(
    ours: Sequence[TensorSpec], theirs: Sequence[TensorSpec], values: Sequence[Value]
) -> list[Value]:
    at = {spec.name: value for spec, value in zip(ours, values, strict=True)}
    return [at[spec.name] for spec in _ordered(ours, theirs)]


def _named(value: Value, name: str) -> Call:
    """A layer that gives what it gets, for its name: outputs are called as the layer they come from."""
    import keras

    layer = keras.layers.Activation("linear", name=name)
    return Call(name, layer, (value,), {}, (Value(value.shape, value.dtype),))


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"{name}_student"
    return name
