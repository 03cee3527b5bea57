"""The plugin: which samples are looked at, and what of it all is refused."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from taxiway import plugins
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.plugins import Context, Selection

MOST_HASHED = 4096
"""Rows of the test split that are compared with the samples."""
Share = Annotated[float, Meta(gt=0, le=1)]


class Doctor(plugins.Calibration):
    """Says whether the samples are good: enough of them, of all classes, none twice, none of the test's,
    none made up; and how much of other samples falls outside of the ranges that they set."""

    accepts = frozenset({"onnx", "tflite"})

    class Config(plugins.Config, frozen=True, tag_field="type", tag="doctor"):
        """What is looked at, and from where on it is worth a warning."""

        allow_random: Annotated[
            bool,
            Meta(description="Calibrate on noise, or on rows without content; the report says so."),
        ] = False
        rows: Annotated[
            int,
            Meta(
                ge=8,
                description="Samples that the float model is run on, at most: those of the recipe, and more of "
                "the same split to see whether ranges still move.",
            ),
        ] = 512
        settled: Annotated[
            Share, Meta(description="Part of its widest range at which a tensor counts as settled.")
        ] = 0.9
        saturation: Annotated[
            Share,
            Meta(description="Part of a tensor's values out of range that is worth a warning."),
        ] = 0.005
        split: Annotated[
            str | None, Meta(description="The split that is looked at; null: the pass's own.")
        ] = None
        samples: Annotated[
            Annotated[int, Meta(ge=1)] | None,
            Meta(description="How many of its rows the pass gets; null: as the pass says."),
        ] = None
        labels: Annotated[
            bool | None, Meta(description="Whether the split has labels; null: looked up.")
        ] = None
        test: Annotated[
            str | None,
            Meta(description="The split that must share no row with it; null: the evaluation's."),
        ] = None

    def reads(self, options: Config) -> tuple[Selection, ...]:
        if options.split is None:
            return ()
        rows = None if options.samples is None else max(options.rows, options.samples)
        selections = [Selection(options.split, rows, labels=bool(options.labels))]
        if options.test is not None and options.test != options.split:
            selections.append(Selection(options.test, MOST_HASHED))
        return tuple(selections)

    def run(self, model: Model, options: Config, context: Context) -> dict[str, Any]:
        from taxiway.optimize.doctor.examination import examine

        if context.data is None or options.split is None:
            raise StepError("calibration needs samples, and the recipe has no data", "data=npz")
        return examine(model, options, self.reads(options), context)
