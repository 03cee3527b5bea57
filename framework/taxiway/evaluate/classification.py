"""Classification: accuracy, agreement with the source, latency, size and memory, side by side."""

from __future__ import annotations

import filecmp
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from taxiway import plugins
from taxiway.errors import StepError
from taxiway.evaluate.classes import class_numbers, predicted, score_output
from taxiway.evaluate.limits import Gates, needs_baseline
from taxiway.evaluate.performance import performance
from taxiway.model import FORMATS, Model
from taxiway.plugins import TEST, Context, Dataset, Selection

if TYPE_CHECKING:
    import numpy as np

    from taxiway.model.runners import Runner

    Array = np.ndarray[Any, Any]

Positive = Annotated[int, Meta(ge=1)]


class Classification(plugins.Evaluate):
    """Measures the result and its source on the same labelled rows."""

    accepts = frozenset(FORMATS)
    machine_dependent = True
    libraries = ("ai-edge-litert", "onnxruntime", "tensorflow", "keras", "tf-keras")

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
            str | None, Meta(description="Output with the class scores; null for the first.")
        ] = None
        batch_size: Annotated[int, Meta(ge=1, description="Rows predicted at a time.")] = 64
        latency_samples: Annotated[
            int, Meta(ge=1, description="Rows that latency and memory are measured with.")
        ] = 50
        gates: Annotated[Gates, Meta(description="Limits the result must keep.")] = Gates()

        def __post_init__(self) -> None:
            needed = needs_baseline(self.gates)
            if self.baseline == "none" and needed:
                raise ValueError(
                    f"gate {needed[0]} compares with the source; set baseline: source or drop it"
                )

    def reads(self, options: Config) -> tuple[Selection, ...]:
        return (Selection(options.split, options.samples, labels=True),)

    def run(self, model: Model, options: Config, context: Context) -> dict[str, Any]:
        """The figures of `result`, and of `source` where it is the baseline.

        accuracy, agreement: fractions of the n rows. latency_p50, latency_p95: seconds for one
        sample on one thread. size, peak_memory: bytes; `performance` says how they are taken.
        Raises StepError where outputs or labels do not fit, or an output is not finite.
        """
        from taxiway.model.runners import open_runner

        (selection,) = self.reads(options)
        data = context.data
        if data is None:
            raise StepError("evaluation needs data", "add a data section: data=npz data.path=...")
        models = {"result": model}
        if options.baseline == "source":
            if context.source is None:
                raise StepError("evaluation has no source to compare with", "set baseline: none")
            if not _same(model, context.source):
                models = {"source": context.source, "result": model}
        runners = {name: open_runner(subject) for name, subject in models.items()}
        subjects, sample = _accuracy(models, runners, data, selection, options, context)
        for name, runner in runners.items():
            subjects[name] |= performance(models[name], runner, sample, context.workdir)
        if options.baseline == "source":
            subjects.setdefault("source", dict(subjects["result"]))
            subjects["source"]["agreement"] = 1.0
            subjects["result"].setdefault("agreement", 1.0)
        return {
            "n": data.count(selection),
            "subjects": dict(sorted(subjects.items(), reverse=True)),
        }


def _same(one: Model, other: Model) -> bool:
    if one.path == other.path:
        return True
    files = one.path.is_file() and other.path.is_file() and one.format == other.format
    return files and filecmp.cmp(one.path, other.path, shallow=False)


def _accuracy(
    models: dict[str, Model],
    runners: dict[str, Runner],
    data: Dataset,
    selection: Selection,
    options: Classification.Config,
    context: Context,
) -> tuple[dict[str, dict[str, Any]], dict[str, Array]]:
    """Accuracy of each model and agreement of the result, and the first rows for the latency."""
    import numpy as np

    outputs = {name: score_output(model, options.output) for name, model in models.items()}
    right = dict.fromkeys(models, 0)
    agreeing = done = 0
    total = data.count(selection)
    kept: list[dict[str, Array]] = []
    for batch in data.batches(selection, options.batch_size):
        assert batch.labels is not None
        guesses, classes = _guesses(runners, outputs, batch.inputs, len(batch.labels))
        labels = class_numbers(batch.labels, classes)
        for name, guess in guesses.items():
            right[name] += int(np.count_nonzero(guess == labels))
        if "source" in guesses:
            agreeing += int(np.count_nonzero(guesses["result"] == guesses["source"]))
        if done < options.latency_samples:
            kept.append({k: v[: options.latency_samples - done] for k, v in batch.inputs.items()})
        done += len(labels)
        context.progress(done, total, "samples")
    if not done:
        raise StepError(f"split '{selection.split}' is empty", "give it rows under data.splits")
    figures: dict[str, dict[str, Any]] = {n: {"accuracy": c / done} for n, c in right.items()}
    if "source" in models:
        figures["result"]["agreement"] = agreeing / done
    return figures, {name: np.concatenate([part[name] for part in kept]) for name in kept[0]}


def _guesses(
    runners: dict[str, Runner], outputs: dict[str, str], inputs: dict[str, Array], n: int
) -> tuple[dict[str, Array], int]:
    guesses, classes = {}, {}
    for name, runner in runners.items():
        scores = runner.predict(inputs)[outputs[name]]
        guesses[name], classes[name] = predicted(scores, n, outputs[name])
    if len(set(classes.values())) != 1:
        found = ", ".join(f"{name} {count}" for name, count in classes.items())
        raise StepError(
            f"the models differ in their number of classes: {found}",
            "set evaluate.output to the output that holds the class scores",
        )
    return guesses, classes["result"]
