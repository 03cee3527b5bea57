"""The repairs there are, and the one way to apply them."""

from __future__ import annotations

from typing import Any

from taxiway.convert.repairs import (
    compose,
    erfc,
    exact_gelu,
    expand_function,
    float16_compute,
    float64_compute,
    linear_ml,
    scalar_input,
    unroll,
    unroll_loop,
)
from taxiway.convert.repairs.repair import Repair, Stage
from taxiway.plugins.context import Note, Noted

REPAIRS: tuple[Repair, ...] = (
    erfc.REPAIR,
    linear_ml.REPAIR,
    float16_compute.REPAIR,
    float64_compute.REPAIR,
    expand_function.REPAIR,
    unroll_loop.REPAIR,
    exact_gelu.REPAIR,
    scalar_input.REPAIR,
    unroll.REPAIR,
    compose.REPAIR,
)
"""In the order in which they are applied."""


def of_stage(stage: Stage) -> tuple[Repair, ...]:
    return tuple(repair for repair in REPAIRS if repair.stage == stage)


def apply_repairs(model: Any, stage: Stage, note: Noted) -> None:
    """Apply the repairs of one stage in place; each that fires is noted."""
    for repair in of_stage(stage):
        count = repair.apply(model) if repair.applies(model) else 0
        if count:
            note(Note(repair=repair.name, count=count, about=repair.about))
