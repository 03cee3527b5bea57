"""The rows that candidates are judged on, and what the input model makes of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.quantize.fallback.config import Fallback
from taxiway.optimize.quantize.fallback.score import Score
from taxiway.plugins import Batch, Context, Dataset, Selection

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

OPTION = "fallback.output"
READ = 64
"""Rows predicted at once."""
BROKEN = 1e4
"""Error of a row whose scores are not finite, as a multiple of the mean power of a row's scores."""
NO_CLASS = -1


class Rows:
    """The selected rows. They are read as a stream; only classes, and the subset, stay in memory.

    The subset is for sensitivities. Half of it are the rows that the fully quantized model gets most
    wrong, for a fault may show on few rows; the other half is spread evenly over the rest.
    """

    def __init__(self, model: Model, quantized: Model, options: Fallback, context: Context) -> None:
        """Runs both models over all rows. Raises StepError where labels or scores do not fit, where
        there is no row, or where the scores of `model` itself are not finite."""
        import numpy as np

        from taxiway.model.classes import class_numbers, predicted, score_output
        from taxiway.model.runners import open_runner

        (self._selection,) = options.reads()
        if context.data is None:
            raise StepError("a fallback needs samples, and the recipe has no data", "data=npz")
        self._data: Dataset = context.data
        self._output = score_output(model, options.output, OPTION)
        reference, other = open_runner(model), open_runner(quantized)
        classes: list[Array] = []
        truth: list[Array] = []
        errors: list[Array] = []
        others: list[Array] = []
        total, done = self._data.count(self._selection), 0
        for batch in self._batches():
            n = _rows(batch)
            scores = reference.predict(batch.inputs)[self._output]
            guesses, count = predicted(scores, n, self._output, OPTION)
            classes.append(guesses)
            labels = batch.labels
            truth.append(guesses if labels is None else class_numbers(labels, count))
            found = other.predict(batch.inputs)[self._output]
            errors.append(_errors(scores, found))
            others.append(_guesses(found, n, self._output))
            done += n
            context.progress(done, total, "samples")
        if not done:
            raise StepError(
                f"split '{self._selection.split}' is empty", "give it rows under data.splits"
            )
        self._classes, self._truth = np.concatenate(classes), np.concatenate(truth)
        self.quantized = self._score(np.concatenate(others))
        """The fully quantized model's score."""
        self._subset = self._collected(hardest(np.concatenate(errors), options.subset))
        self._wanted = [reference.predict(batch.inputs)[self._output] for batch in self._subset]
        powers = [np.square(scores, dtype=np.float64).sum() for scores in self._wanted]
        self._power = float(np.sum(powers)) or 1.0

    @property
    def before(self) -> Score:
        """The input model's own score."""
        return self._score(self._classes)

    @property
    def samples(self) -> list[dict[str, Array]]:
        """Rows one by one, for the latency."""
        inputs = self._subset[0].inputs
        return [
            {name: array[at : at + 1] for name, array in inputs.items()}
            for at in range(_rows(self._subset[0]))
        ]

    def score(self, model: Model) -> Score:
        """A candidate on all rows; one without finite scores for a row has that row wrong."""
        import numpy as np

        from taxiway.model.runners import open_runner

        runner = open_runner(model)
        guesses = np.concatenate(
            [
                _guesses(runner.predict(batch.inputs)[self._output], _rows(batch), self._output)
                for batch in self._batches()
            ]
        )
        return self._score(guesses)

    def _score(self, guesses: Array) -> Score:
        import numpy as np

        right, before = guesses == self._truth, self._classes == self._truth
        return Score(
            n=len(guesses),
            right=int(np.count_nonzero(right)),
            lost=int(np.count_nonzero(before & ~right)),
            won=int(np.count_nonzero(right & ~before)),
        )

    def noise(self, model: Model) -> float:
        """Power of the error of a candidate's scores on the subset, over that of the input model's."""
        from taxiway.model.runners import open_runner

        runner = open_runner(model)
        error = sum(
            float(_errors(scores, runner.predict(batch.inputs)[self._output]).sum())
            for batch, scores in zip(self._subset, self._wanted, strict=True)
        )
        return error / self._power

    def _batches(self) -> Iterator[Batch]:
        return self._data.batches(self._selection, READ)

    def _collected(self, rows: Array) -> list[Batch]:
        """The inputs of the chosen rows (numbers, ascending), as batches."""
        import numpy as np

        found: list[dict[str, Array]] = []
        start = 0
        inputs_only = Selection(self._selection.split, self._selection.samples)
        for batch in self._data.batches(inputs_only, READ):
            first, end = np.searchsorted(rows, (start, start + _rows(batch)))
            inside = rows[first:end] - start
            if len(inside):
                found.append({name: array[inside] for name, array in batch.inputs.items()})
            start += _rows(batch)
        joined = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
        return [
            Batch({name: array[at : at + READ] for name, array in joined.items()}, None)
            for at in range(0, len(rows), READ)
        ]


def hardest(errors: Array, count: int) -> Array:
    """Row numbers, ascending: half with the largest errors, half spread evenly over the others."""
    import numpy as np

    count = min(count, len(errors))
    order = np.argsort(-errors, kind="stable")
    worst, others = order[: count // 2], np.sort(order[count // 2 :])
    spread = np.linspace(0, len(others) - 1, count - len(worst)).round().astype(int)
    return np.sort(np.concatenate([worst, others[spread]]))


def _errors(wanted: Array, found: Array) -> Array:
    """Squared error of each row, `[n]` float64."""
    import numpy as np

    n = len(wanted)
    exact = wanted.reshape(n, -1).astype(np.float64)
    other = found.reshape(n, -1).astype(np.float64)
    finite: Array = np.asarray(np.isfinite(other).all(axis=1))
    errors: Array = np.square(exact - np.where(np.expand_dims(finite, 1), other, exact)).sum(axis=1)
    return np.where(finite, errors, BROKEN * (np.square(exact).sum(axis=1).mean() or 1.0))


def _guesses(scores: Array, n: int, output: str) -> Array:
    import numpy as np

    from taxiway.model.classes import predicted

    if scores.dtype.kind != "f":
        return predicted(scores, n, output, OPTION)[0]
    finite = np.isfinite(scores).reshape(n, -1).all(axis=1)
    guesses = predicted(np.nan_to_num(scores), n, output, OPTION)[0]
    return np.where(finite, guesses, NO_CLASS)


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.inputs.values())))
