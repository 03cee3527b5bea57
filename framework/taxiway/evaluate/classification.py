"""Classification: accuracy, agreement with the source, latency, size and memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from taxiway import plugins
from taxiway.errors import StepError
from taxiway.evaluate.limits import Gates, needs_baseline
from taxiway.evaluate.performance import performance
from taxiway.model import FORMATS, Model
from taxiway.model.classes import class_numbers, predicted, score_output
from taxiway.plugins import TEST, Context, Dataset, Measurement, Selection

if TYPE_CHECKING:
    import numpy as np

    from taxiway.model.runners import Runner

    Array = np.ndarray[Any, Any]

PREDICTIONS = "predictions.npy"
"""The class of every row, int64 `[n]`: what the agreement of the result is counted with."""

Positive = Annotated[int, Meta(ge=1)]


class Classification(plugins.Evaluate):
    """Measures a model on labelled rows: accuracy, latency, size and memory, agreement with the source."""

    accepts = frozenset(FORMATS)
    machine_dependent = True

    class Config(plugins.Config, frozen=True, tag_field="type", tag="classification"):
        """Classes by the highest score, or by 0.5 where the model gives one probability."""

        split: Annotated[str, Meta(description="The split to measure on.")] = TEST
        samples: Annotated[
            Positive | None, Meta(description="At most this many rows of it; null for all.")
        ] = None
        baseline: Annotated[
            Literal["source", "none"], Meta(description="What the result is compared with.")
        ] = "source"
        output: Annotated[
            str | None,
            Meta(description="Output with the class scores; null for the first of real numbers."),
        ] = None
        batch_size: Annotated[int, Meta(ge=1, description="Rows predicted at a time.")] = 64
        latency_samples: Annotated[
            int, Meta(ge=1, description="Rows that latency and memory are measured with.")
        ] = 50
        gates: Annotated[Gates | None, Meta(description="Limits the result must keep.")] = None

        def __post_init__(self) -> None:
            needed = needs_baseline(self.gates) if self.gates else []
            if self.baseline == "none" and needed:
                raise ValueError(
                    f"gates.{needed[0]}: it compares with the source, but baseline is none; "
                    "set baseline: source, or drop the gate"
                )

    def reads(self, options: Config) -> tuple[Selection, ...]:
        return (Selection(options.split, options.samples, labels=True),)

    def compares(self, options: Config) -> bool:
        return options.baseline == "source"

    def run(self, model: Model, options: Config, context: Context) -> dict[str, Any]:
        """The figures of `model`; `agreement` where there is a baseline.

        accuracy, agreement: fractions of the n rows. latency_p50, latency_p95: seconds for one
        sample on one thread. size, peak_memory: bytes; `performance` says how they are taken.
        Raises StepError where outputs or labels do not fit, or an output is not finite.
        """
        from taxiway.model.runners import open_runner

        runner = open_runner(model)
        figures, sample = self._judge(model, runner, options, context)
        return figures | performance(model, runner, sample, context.workdir)

    def quality(self, model: Model, options: Config, context: Context) -> dict[str, Any]:
        """`n`, `accuracy`, and `agreement` where there is a baseline."""
        from taxiway.model.runners import open_runner

        return self._judge(model, open_runner(model), options, context)[0]

    def _judge(
        self, model: Model, runner: Runner, options: Config, context: Context
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """The figures, and the first rows for the latency."""
        import numpy as np

        (selection,) = self.reads(options)
        if context.data is None:
            raise StepError("evaluation needs data", "add a data section: data=npz data.path=...")
        classes, right, sample = _predict(model, runner, context.data, selection, options, context)
        np.save(context.workdir / PREDICTIONS, classes, allow_pickle=False)
        figures = {"n": len(classes), "accuracy": right / len(classes)}
        if context.baseline:
            figures["agreement"] = _agreement(classes, context.baseline)
        return figures, sample


def _predict(
    model: Model,
    runner: Runner,
    data: Dataset,
    selection: Selection,
    options: Classification.Config,
    context: Context,
) -> tuple[Array, int, dict[str, Array]]:
    """The class of every row `[n]`, how many are right, and the first rows for the latency."""
    import numpy as np

    output = score_output(model, options.output)
    total = data.count(selection)
    classes: list[Array] = []
    kept: list[Mapping[str, Array]] = []
    right = done = 0
    for batch in data.batches(selection, options.batch_size):
        assert batch.labels is not None
        scores = runner.predict(batch.inputs)[output]
        guesses, count = predicted(scores, len(batch.labels), output)
        right += int(np.count_nonzero(guesses == class_numbers(batch.labels, count)))
        classes.append(guesses)
        if done < options.latency_samples:
            kept.append({k: v[: options.latency_samples - done] for k, v in batch.inputs.items()})
        done += len(guesses)
        context.progress(done, total, "samples")
    if not done:
        raise StepError(f"split '{selection.split}' is empty", "give it rows under data.splits")
    sample = {name: np.concatenate([part[name] for part in kept]) for name in kept[0]}
    return np.concatenate(classes), right, sample


def _agreement(classes: Array, baseline: Measurement) -> float:
    import numpy as np

    others = np.load(Path(baseline.files) / PREDICTIONS, allow_pickle=False)
    return float(np.count_nonzero(classes == others) / len(classes))
