"""One distillation from its models to its result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec.structs import replace

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.distill.config import DistillConfig
from taxiway.optimize.distill.hints import tapped, with_hints
from taxiway.optimize.distill.objective import Answers, Distillation, Hints
from taxiway.optimize.distill.soft_targets import SoftTarget
from taxiway.optimize.distill.student.make import made
from taxiway.optimize.distill.teacher import Layout, RememberedAnswers, Teacher
from taxiway.optimize.training.config import Augmentation
from taxiway.optimize.training.objective import Classification, Objective, default_objective
from taxiway.optimize.training.rows import Rows
from taxiway.plugins import Context
from taxiway.plugins.quantity import size_in_bytes


def distilled(model: Model, options: DistillConfig, context: Context) -> Model:
    """The trained student of `model`, saved in the work folder.

    Raises StepError where no student can be made, where it does not fit the teacher, or where the
    training fails.
    """
    from taxiway.optimize.training.fit import fit
    from taxiway.optimize.training.network import load_network, save_network
    from taxiway.optimize.training.split_rows import training_rows

    teacher = load_network(model, context)
    student = made(teacher, options.student, context)
    context.tell("student", _told(teacher, student))
    pairs = options.features.pairs
    network = with_hints(teacher, student, pairs) if pairs else student
    rows = training_rows(student, options.training, context, options.alpha > 0)
    labels = None
    if options.alpha > 0:
        labels = default_objective(student, rows.train.example, options.training.output)
    targets = _targets(teacher, options, labels)
    asked = Teacher(teacher, targets, tapped(teacher, list(pairs), "teacher"))
    first = next(rows.train.in_order(options.training.batch_size))
    hints = _hints(asked, options, first, len(targets), len(student.outputs))
    with _answers(asked, model, options, context, first) as answers:
        objective = Distillation(
            answers if options.alpha < 1 or pairs else None,
            targets,
            labels,
            options.alpha,
            options.temperature,
            hints,
        )
        fit(
            network,
            None,
            options.training,
            context,
            objective=objective,
            labels=options.alpha > 0,
            name="distillation",
        )
    return replace(save_network(student, model, context), promises=())


def _told(teacher: Any, student: Any) -> dict[str, Any]:
    """What the record keeps of the student: its size beside the teacher's."""
    ours, theirs = int(student.count_params()), int(teacher.count_params())
    return {"parameters": ours, "teacher_parameters": theirs, "share": round(ours / theirs, 4)}


def _targets(
    teacher: Any, options: DistillConfig, labels: Objective | None
) -> tuple[SoftTarget, ...]:
    """How each output of real numbers is compared. Raises StepError where there is none."""
    from taxiway.model.inspect import keras_signature
    from taxiway.optimize.training.last_activation import last_activation

    found = []
    for at, spec in enumerate(keras_signature(teacher).outputs):
        if "float" not in spec.dtype:
            continue
        activation = last_activation(teacher, at)
        scores = isinstance(labels, Classification) and labels.output == at
        soft = activation != "none" or scores or options.loss == "probabilities"
        one = activation == "none" and spec.shape[-1] == 1
        kind = "sigmoid" if activation == "sigmoid" or one else "softmax"
        found.append(
            SoftTarget(at, activation, "values" if options.loss == "values" or not soft else kind)  # type: ignore[arg-type]
        )
    if not found:
        raise StepError("the teacher has no output of real numbers that a student could learn")
    return tuple(found)


def _hints(
    teacher: Teacher, options: DistillConfig, rows: Rows, targets: int, outputs: int
) -> Hints:
    import numpy as np

    if not options.features.pairs:
        return Hints()
    said = teacher.answer(rows.inputs)[targets:]
    squares = [float(np.mean(np.square(array))) for array in said]
    for name, square in zip(options.features.pairs, squares, strict=True):
        if square <= 0:
            raise StepError(
                f"features.pairs: layer '{name}' of the teacher gives only zeros on the first "
                f"{len(rows)} rows",
                "pair another layer",
            )
    return Hints(outputs, options.features.weight, tuple(squares))


@contextmanager
def _answers(
    teacher: Teacher, model: Model, options: DistillConfig, context: Context, first: Rows
) -> Iterator[Answers]:
    """The teacher's answers, from disk where they can be kept there.

    An augmented row is never seen twice, so nothing is kept of it.
    """
    from taxiway.safety.keras_file import digest

    layout = Layout.of(teacher.answer(first.inputs))
    assert context.data is not None
    selections = options.training.reads(labels=options.alpha > 0)
    rows = sum(context.data.count(selection) for selection in selections)
    fits = rows * layout.nbytes <= size_in_bytes(options.cache)
    if not fits or options.training.augment != Augmentation():
        yield teacher
        return
    with TemporaryDirectory(prefix="taxiway-teacher-") as scratch:
        folder = context.checkpoints or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"teacher-{digest(model.path)[:16]}-{layout.values}.answers"
        remembered = RememberedAnswers(teacher, folder / name, layout)
        try:
            yield remembered
        finally:
            remembered.close()
