"""A student out of its teacher: fewer blocks, then narrower layers."""

from __future__ import annotations

from typing import Any

from taxiway.optimize.distill.config import Student
from taxiway.optimize.distill.student.build import Changes, build
from taxiway.optimize.distill.student.depth import shallower
from taxiway.optimize.distill.student.unrolled import unrolled
from taxiway.optimize.distill.student.width import narrower


def derived(teacher: Any, student: Student) -> Any:
    """The student (keras.Model) of `student.width` and `student.depth`; inputs and outputs are the
    teacher's. Raises StepError that names the layer which stands in the way."""
    graph = unrolled(teacher)
    if student.depth is not None and student.depth < 1:
        graph = shallower(graph, student.depth)
    changes: Changes = {}
    if student.width is not None and student.width < 1:
        changes = narrower(graph, student.width, student.keep)
    return build(graph, changes)
