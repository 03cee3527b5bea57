"""Trains a network inside a pass: streamed rows, seeds, early stopping, and the same result after a kill."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.optimize.training.augment import augmented
from taxiway.optimize.training.checkpoint import Checkpoints, State
from taxiway.optimize.training.config import Training
from taxiway.optimize.training.divergence import Watch
from taxiway.optimize.training.history import Epoch, History
from taxiway.optimize.training.kept import kept_promises
from taxiway.optimize.training.loop import Loop
from taxiway.optimize.training.network import check_finite, named_weights
from taxiway.optimize.training.objective import Objective, default_objective
from taxiway.optimize.training.seeds import seed_generators
from taxiway.optimize.training.split_rows import TrainingRows, training_rows
from taxiway.optimize.training.views import View, Views
from taxiway.plugins import Context


def fit(
    network: Any,
    before: Model | None,
    training: Training,
    context: Context,
    *,
    objective: Objective | None = None,
    views: Sequence[View] = (),
    labels: bool = True,
    name: str = "training",
) -> History:
    """Train `network`, a `keras.Model`, in place, and write into it what the views show.

    before: the model that the network came from: what earlier passes promised of its weights is kept, as
    views that go before `views`. None: a network of its own, such as a student.
    objective: None takes the one that the network's output and the labels ask for.
    labels: whether the rows have labels. name: of the curve in the record, and of the checkpoint; a
    pass that trains twice gives two.

    Adam (Kingma & Ba 2015) with a learning rate that falls to 0 along a cosine. Without epochs nothing is
    read and the views are written at once. Equal seeds give equal weights on one machine, after a kill,
    too. Raises StepError that names epoch and step where the training diverges, and what is not finite.
    """
    kept = kept_promises(network, before) if before else ()
    seen = Views((*kept, *views))
    if not training.epochs:
        seen.advance(named_weights(network), 1.0)
        seen.bake(named_weights(network))
        return History()
    rows = training_rows(network, training, context, labels)
    return _Fit(network, training, context, rows, objective, seen, name).run()


_GUESSED_ROWS = 1_000
"""Rows by which the loss of the best constant guess is told."""


class _Fit:
    def __init__(
        self,
        network: Any,
        training: Training,
        context: Context,
        rows: TrainingRows,
        objective: Objective | None,
        views: Views,
        name: str,
    ) -> None:
        import keras

        self.network, self.training, self.context = network, training, context
        self.rows, self.views, self.name = rows, views, name
        self.size = rows.batch
        self.steps = -(-rows.train.count // self.size)
        chosen = objective or default_objective(network, rows.train.example, training.output)
        chosen.check(rows.train.example)
        seed_generators(network, context.seed)
        rate = keras.optimizers.schedules.CosineDecay(
            training.learning_rate, self.steps * training.epochs
        )
        fixed = self.size if rows.fixed else None
        self.loop = Loop(
            network, views, chosen, keras.optimizers.Adam(rate), rows.train.example, fixed
        )
        self.weights = named_weights(network)
        self.checkpoints = Checkpoints(context.checkpoints, name)
        self.best: dict[str, Any] = {}

    def run(self) -> History:
        start = self._resumed() or self._first()
        watch = self._watch(start)
        history = start
        for epoch in range(len(start.epochs), self.training.epochs + 1):
            if self._stops(history):
                history = msgspec.structs.replace(history, stopped_early=True)
                break
            history = self._epoch(epoch, history, watch)
        self._told(history)
        self._finish(history)
        return history

    def _first(self) -> History:
        """Before the first step: what the network loses as it is."""
        self.views.advance(self.weights, 0.0)
        rows = next(self._batches(1))
        loss = self.loop.judge(rows)[0] / len(rows)
        self._require_finite(loss, rows, 0)
        first = self._validated(Epoch(epoch=0, loss=loss, settled=self.views.settled))
        validation = self.rows.validation
        return History(
            rows=self.rows.train.count,
            validation_rows=validation.count if validation else 0,
            epochs=(first,),
        )

    def _watch(self, history: History) -> Watch:
        first = history.epochs[0]
        starts = [loss for loss in (first.loss, first.validation_loss) if loss is not None]
        chance = self.loop.objective.chance(next(self.rows.train.in_order(_GUESSED_ROWS)))
        return Watch(starts, chance, self.training.epochs, self.training.learning_rate)

    def _epoch(self, epoch: int, history: History, watch: Watch) -> History:
        began, total, all_steps = time.perf_counter(), 0.0, self.steps * self.training.epochs
        for step, rows in enumerate(self._batches(epoch), 1):
            self.views.advance(self.weights, ((epoch - 1) * self.steps + step - 1) / all_steps)
            loss, finite = self.loop.train(rows)
            if not finite:
                raise self._not_finite(rows, epoch, step, watch)
            watch.step(loss, epoch, step)
            total += loss * len(rows)
        mean = total / self.rows.train.count
        settled = self.views.settled
        done = self._validated(Epoch(epoch=epoch, loss=mean, settled=settled))
        done = msgspec.structs.replace(done, seconds=round(time.perf_counter() - began, 3))
        history = msgspec.structs.replace(history, epochs=(*history.epochs, done), kept=epoch)
        watch.epoch(mean, epoch)
        self._remember(history)
        self.checkpoints.save(State({**self._state(), **self.best}, history))
        self.context.progress(epoch, self.training.epochs, "epochs")
        self._told(history)
        return history

    def _batches(self, epoch: int) -> Iterator[Any]:
        """The rows of an epoch, in an order and with changes that seed and epoch decide."""
        order, changes = (
            np.random.default_rng([self.context.seed, epoch, purpose]) for purpose in (0, 1)
        )
        for rows in self.rows.train.shuffled(self.size, order):
            self.loop.objective.check(rows)
            changed = augmented(rows.inputs, self.training.augment, changes)
            yield type(rows)(changed, rows.labels, rows.index)

    def _validated(self, epoch: Epoch) -> Epoch:
        if self.rows.validation is None:
            return epoch
        loss, right, count = 0.0, 0.0, self.rows.validation.count
        judged = True
        for rows in self.rows.validation.in_order(self.size):
            self.loop.objective.check(rows)
            summed, correct = self.loop.judge(rows)
            self._require_finite(summed, rows, epoch.epoch)
            loss += summed
            right += correct or 0.0
            judged = judged and correct is not None
        return msgspec.structs.replace(
            epoch,
            validation_loss=loss / count,
            validation_accuracy=right / count if judged else None,
        )

    def _require_finite(self, loss: float, rows: Any, epoch: int) -> None:
        if np.isfinite(loss):
            return
        found = self.loop.not_finite(rows)
        cause = f": {found} is not finite" if found else ""
        lower = f"training.learning_rate={self.training.learning_rate / 10:g}"
        raise StepError(
            f"the loss is {loss} after epoch {epoch}{cause}",
            lower if epoch else "look for NaN in the data and in the model",
        )

    def _not_finite(self, rows: Any, epoch: int, step: int, watch: Watch) -> StepError:
        found = self.loop.not_finite(rows)
        where = f"at step {step} of epoch {epoch}"
        if found and found.startswith("input"):
            return StepError(f"{found} is not finite {where}", "remove such rows from the data")
        return watch.diverged(
            f"{found or 'the loss'} is not finite {where}{self._kept_where(epoch)}"
        )

    def _kept_where(self, epoch: int) -> str:
        path = self.checkpoints.path
        return f"; the state after epoch {epoch - 1} is in {path}" if path and epoch > 1 else ""

    def _stops(self, history: History) -> bool:
        best = history.best()
        if self.training.patience is None or best is None:
            return False
        return history.epochs[-1].epoch - best.epoch >= self.training.patience

    def _remember(self, history: History) -> None:
        best = history.best()
        if self.training.patience is not None and best and best.epoch == history.epochs[-1].epoch:
            self.best = {f"best.{name}": value for name, value in self._network_state().items()}

    def _finish(self, history: History) -> None:
        if self.best:
            self._restore_network({k.removeprefix("best."): v for k, v in self.best.items()})
        self.views.advance(self.weights, 1.0)
        self.views.bake(self.weights)
        check_finite(self.network)

    def _network_state(self) -> dict[str, Any]:
        """Everything that the network computes with, by position: names may repeat."""
        variables = (*self.network.trainable_variables, *self.network.non_trainable_variables)
        state = {f"network.{at}": _array(v) for at, v in enumerate(variables)}
        return state | {f"views.{key}": value for key, value in self.views.state().items()}

    def _state(self) -> dict[str, Any]:
        optimizer = {
            f"optimizer.{at}": _array(v) for at, v in enumerate(self.loop.optimizer.variables)
        }
        return self._network_state() | optimizer

    def _restore_network(self, state: dict[str, Any]) -> None:
        variables = (*self.network.trainable_variables, *self.network.non_trainable_variables)
        for at, variable in enumerate(variables):
            variable.assign(state[f"network.{at}"])
        self.views.restore(
            {k.removeprefix("views."): v for k, v in state.items() if k.startswith("views.")}
        )

    def _resumed(self) -> History | None:
        """Go on from what an earlier attempt kept; None where there is nothing that fits."""
        state = self.checkpoints.load()
        if state is None:
            return None
        arrays = dict(state.arrays)
        if {k: v.shape for k, v in self._state().items()} != {
            k: v.shape for k, v in arrays.items() if not k.startswith("best.")
        }:
            return None
        self._restore_network(arrays)
        for at, variable in enumerate(self.loop.optimizer.variables):
            variable.assign(arrays[f"optimizer.{at}"])
        self.best = {k: v for k, v in arrays.items() if k.startswith("best.")}
        return state.history

    def _told(self, history: History) -> None:
        best = history.best() if self.training.patience is not None else None
        kept = best.epoch if best else history.epochs[-1].epoch
        self.context.tell(self.name, msgspec.structs.replace(history, kept=kept).to_dict())


def _array(variable: Any) -> Any:
    """A copy: TensorFlow may go on writing where the variable is."""
    return variable.value.numpy().copy()
