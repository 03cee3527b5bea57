"""The student, whatever it comes from, with the ends of its teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from taxiway.errors import StepError
from taxiway.model import Signature
from taxiway.optimize.distill.config import SOURCES, Student
from taxiway.optimize.distill.student.ends import check_ends, renamed
from taxiway.plugins import Context


def made(teacher: Any, student: Student, context: Context) -> Any:
    """The network (keras.Model) that learns; its inputs and outputs are named as the teacher's.

    Raises StepError where it cannot be made or does not fit the teacher, SafetyError for a file that
    the gate refuses.
    """
    from taxiway.model.inspect import keras_signature

    theirs = keras_signature(teacher)
    network, named = _network(teacher, theirs, student, context)
    ours = keras_signature(network)
    check_ends(ours, theirs, named)
    _check_activations(network, teacher, ours, theirs, named)
    return renamed(network, ours, teacher, theirs)


def _network(
    teacher: Any, theirs: Signature, student: Student, context: Context
) -> tuple[Any, str]:
    if student.file:
        return _of_file(Path(student.file), context), Path(student.file).name
    if student.architecture:
        from taxiway.optimize.distill.student.registered import built

        ends = [
            {"none": "linear"}.get(end, end) for end in _activations(teacher, len(theirs.outputs))
        ]
        network = built(student.architecture, student.arguments, theirs, ends)
        return network, f"architecture '{student.architecture}'"
    if student.given:
        from taxiway.optimize.distill.student.derive import derived

        return derived(teacher, student), "the derived student"
    raise StepError("distill: no student is named", f"give student.{SOURCES}")


def _of_file(path: Path, context: Context) -> Any:
    from taxiway.model import Model
    from taxiway.model.inspect import describe
    from taxiway.optimize.training.network import load_network

    model: Model = describe(path, "keras")
    return load_network(model, context)


def _activations(network: Any, count: int) -> list[str]:
    from taxiway.optimize.training.last_activation import last_activation

    return [last_activation(network, at) for at in range(count)]


def _check_activations(
    student: Any, teacher: Any, ours: Signature, theirs: Signature, named: str
) -> None:
    """What an output means must stay: probabilities, or scores."""
    by_name = {spec.name: at for at, spec in enumerate(ours.outputs)}
    names = [spec.name for spec in theirs.outputs]
    order = [by_name.get(name, at) for at, name in enumerate(names)]
    if set(by_name) != set(names):
        order = list(range(len(names)))
    mine, wanted = _activations(student, len(names)), _activations(teacher, len(names))
    for at, name in enumerate(names):
        if mine[order[at]] != wanted[at]:
            raise StepError(
                f"{named} ends with {_shown(mine[order[at]])}, the teacher's '{name}' with "
                f"{_shown(wanted[at])}: the outputs would mean something else",
                "give a student that ends as the teacher does",
            )


def _shown(activation: str) -> str:
    return "no activation" if activation == "none" else activation
