"""Distillation: a student learns from the model that reaches the pass, and takes its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from taxiway.model import Model
from taxiway.optimize.distill.config import SOURCES, DistillConfig
from taxiway.plugins import Context, Pass, Selection

_LOST = "the student is another network: what was done to the teacher's weights is lost"


class Distill(Pass):
    """Trains a small student on what the model says, mixed with what labels say; the result is the student.

    The student comes from a Keras file, from a registered architecture, or out of the model itself by
    width and depth. The loss is that of Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural
    Network", 2015, with hints for inner layers after FitNets (Romero et al. 2015).
    """

    Config = DistillConfig
    accepts = frozenset({"keras"})
    libraries = ("tensorflow", "keras")
    runs_model = True
    seeded = True
    approximates = True
    trains = True
    renews = True
    establishes = frozenset({"trained"})
    undoes = {
        "pruned": f"{_LOST}; distill first, then prune",
        "clustered": f"{_LOST}; distill first, then cluster",
        "quantized": f"{_LOST}; distill first, then quantize",
    }
    weakens = {
        "channels pruned": "the student has sizes of its own; prune channels after it, to remove more",
    }

    def check(self, options: DistillConfig) -> None:
        student = options.student
        if not student.given:
            raise ValueError(f"student: name {SOURCES}, such as student.width=0.5")
        if not options.training.epochs:
            raise ValueError("training.epochs: a student learns nothing in 0 epochs")
        if student.architecture:
            from taxiway.optimize.distill.student.registered import architecture

            architecture(student.architecture)

    def reads(self, options: DistillConfig) -> tuple[Selection, ...]:
        return options.training.reads(labels=options.alpha > 0)

    def distributions(self, options: DistillConfig) -> tuple[str, ...]:
        from taxiway.optimize.distill.student.registered import distribution_of

        name = options.student.architecture
        return distribution_of(name) if name else ()

    def lacks(self, path: Path, options: DistillConfig) -> tuple[str, ...]:
        from taxiway.optimize.distill.student.noted import differences

        file = options.student.file
        return differences(Path(file), path) if file else ()

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from taxiway.optimize.distill.lesson import distilled

        return distilled(model, options, context)
