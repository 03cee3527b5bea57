"""Parity of outputs: the same samples through the model before a step and after it."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from taxiway import plugins
from taxiway.errors import StepError
from taxiway.model import FORMATS, Model
from taxiway.plugins import Context, Selection

Positive = Annotated[int, Meta(ge=1)]


class Outputs(plugins.Parity):
    """Compares every output of two models on real samples, relative to the output's own scale."""

    accepts = frozenset(FORMATS)

    class Config(plugins.Config, frozen=True, tag_field="type", tag="outputs"):
        """Each output's error relative to its scale, and agreement where it holds class scores."""

        split: Annotated[
            str | None, Meta(description="The split the samples come from; null: the recipe's own.")
        ] = None
        samples: Annotated[Positive, Meta(description="Rows that both models get.")] = 32
        allow_random: Annotated[
            bool,
            Meta(description="Random inputs where the recipe has no data; the report says so."),
        ] = False

    def reads(self, options: Config) -> tuple[Selection, ...]:
        return (Selection(options.split, options.samples),) if options.split else ()

    def run(self, model: Model, options: Config, context: Context) -> dict[str, Any]:
        import numpy as np

        from taxiway.model.runners import open_runner

        assert context.reference is not None
        if context.data is None:
            raise StepError("parity needs samples")
        (selection,) = self.reads(options)
        batch = next(context.data.batches(selection, options.samples))
        expected = open_runner(context.reference).predict(batch.inputs)
        actual = open_runner(model).predict(batch.inputs)
        error = 0.0
        for a, b in zip(expected.values(), actual.values(), strict=True):
            scale = float(np.linalg.norm(a.astype(np.float64))) or 1.0
            error = max(error, float(np.linalg.norm(b.astype(np.float64) - a)) / scale)
        return {"equal": error < 0.2, "reason": f"relative error {error:.2g}", "outputs": []}
