"""Trainings of many kinds of network: they learn, they repeat, they go on after a kill, they stop."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from taxiway.errors import StepError
from taxiway.model.inspect import describe
from taxiway.model.promises import Clusters, Sparsity
from taxiway.model.runners import open_runner
from taxiway.optimize.training.config import Augmentation, Training
from taxiway.optimize.training.fit import fit
from taxiway.optimize.training.history import History
from taxiway.optimize.training.network import load_network, named_weights, save_network

pytestmark = pytest.mark.slow
THREE = Training(epochs=3, batch_size=16, learning_rate=1e-2)


def trained(model: Any, training: Training, context: Any, **more: Any) -> tuple[Any, History]:
    network = load_network(model, context)
    history = fit(network, model, training, context, **more)
    return save_network(network, model, context), history


def test_every_kind_of_network_learns(kind: str, saved, context) -> None:
    """Its own validation rows say so; inputs and outputs stay."""
    model, rows = saved(kind)
    training = Training(epochs=5, batch_size=16, learning_rate=3e-2, validation=0.25)
    result, history = trained(model, training, context(rows))
    assert [epoch.epoch for epoch in history.epochs] == list(range(6))
    first, last = history.epochs[0], history.epochs[-1]
    assert history.rows == 72 and history.validation_rows == 24
    assert last.loss is not None and last.validation_loss < first.validation_loss
    assert (last.validation_accuracy is None) == (kind == "regression")
    assert result.signature == model.signature
    outputs = open_runner(result).predict(rows.inputs)
    assert all(np.isfinite(output).all() for output in outputs.values())


@pytest.mark.parametrize("kind", ["residual", "recurrent", "logits"])
def test_the_loss_is_that_of_keras(kind: str, saved, context) -> None:
    import keras

    model, rows = saved(kind)
    network = load_network(model, context())
    history = fit(
        network,
        model,
        Training(epochs=1, learning_rate=1e-9, validation="validation"),
        context(replace(rows, others={"validation": rows})),
    )
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=kind == "logits")(
        rows.labels, network(*rows.inputs.values(), training=False)
    )
    assert history.epochs[1].validation_loss == pytest.approx(float(expected), rel=1e-4)
    right = np.argmax(network.predict(*rows.inputs.values(), verbose=0), axis=1) == rows.labels
    assert history.epochs[1].validation_accuracy == pytest.approx(float(np.mean(right)))


@pytest.mark.parametrize("kind", ["residual", "logits"])
def test_after_a_kill_the_bytes_are_the_same(kind: str, saved, context, tmp_path: Path) -> None:
    model, rows = saved(kind)
    augment = Augmentation(shift=0.1, noise=0.1) if kind == "residual" else Augmentation(noise=0.1)
    training = msgspec.structs.replace(THREE, patience=2, augment=augment)
    plain, whole = trained(model, training, context(rows))

    class Killed(Exception):
        pass

    def kill(done: int, total: int | None, unit: str) -> None:
        if done == 2:
            raise Killed

    kept = tmp_path / "checkpoints"
    with pytest.raises(Killed):
        trained(model, training, context(rows, progress=kill, checkpoints=kept))
    told: dict[str, Any] = {}
    again = context(rows, "again", checkpoints=kept, tell=told.__setitem__)
    resumed, history = trained(model, training, again)
    assert resumed.path.read_bytes() == plain.path.read_bytes()
    assert len(history.epochs) == len(whole.epochs) == len(told["training"]["epochs"])
    assert [e.validation_loss for e in history.epochs] == [e.validation_loss for e in whole.epochs]
    other, _ = trained(model, training, replace(context(rows, "other"), seed=6))
    assert other.path.read_bytes() != plain.path.read_bytes()


def test_a_damaged_checkpoint_starts_anew(saved, context, tmp_path: Path) -> None:
    model, rows = saved("logits")
    kept = tmp_path / "checkpoints"
    plain, _ = trained(model, THREE, context(rows, checkpoints=kept))
    (file,) = kept.iterdir()
    os.truncate(file, 500)
    again, history = trained(model, THREE, context(rows, "again", checkpoints=kept))
    assert len(history.epochs) == 4 and again.path.read_bytes() == plain.path.read_bytes()


def test_rows_that_do_not_fit_are_streamed(saved, context) -> None:
    model, rows = saved("residual")
    many = replace(
        rows,
        inputs={"image": np.tile(rows.inputs["image"], (60, 1, 1, 1))},
        labels=np.tile(rows.labels, 60),
    )
    training = Training(epochs=3, batch_size=64, learning_rate=1e-2, memory=1)
    _, history = trained(model, training, context(many))
    assert many.inputs["image"].nbytes > 2 << 20 and max(many.read) <= 512
    assert history.epochs[-1].validation_loss < history.epochs[0].validation_loss


def test_early_stopping_keeps_the_best(saved, context) -> None:
    """A training that soon learns its rows by heart."""
    model, rows = saved("residual")
    shuffled = replace(rows, labels=np.random.default_rng(1).permutation(rows.labels))
    training = Training(epochs=40, batch_size=8, learning_rate=3e-2, validation=0.5, patience=3)
    result, history = trained(model, training, context(shuffled))
    best = history.best()
    assert history.stopped_early and best and len(history.epochs) - 1 == best.epoch + 3
    losses = [epoch.validation_loss for epoch in history.epochs[1:]]
    assert best.validation_loss == min(losses)
    short = msgspec.structs.replace(training, patience=None)
    _, other = trained(
        result,
        msgspec.structs.replace(short, epochs=1, learning_rate=1e-12),
        context(shuffled, "b"),
    )
    assert other.epochs[0].validation_loss == pytest.approx(best.validation_loss, rel=1e-5)


@pytest.mark.parametrize("rate", [1e4, 1.0], ids=str)
def test_divergence(rate: float, saved, context, tmp_path: Path) -> None:
    model, rows = saved("residual")
    good, _ = trained(model, Training(epochs=20, batch_size=16, learning_rate=1e-2), context(rows))
    training = Training(epochs=2, batch_size=4, learning_rate=rate)
    with pytest.raises(StepError, match=r"diverged.*epoch \d") as caught:
        trained(good, training, context(rows, "b", checkpoints=tmp_path / "kept"))
    assert caught.value.hint == f"training.learning_rate={rate / 10:g}"


def test_what_is_not_finite_is_named(saved, context) -> None:
    model, rows = saved("logits")
    bad = replace(rows, inputs={"vector": rows.inputs["vector"].copy()})
    bad.inputs["vector"][50, 2] = np.nan
    for training in (Training(epochs=1, validation=0), Training(epochs=1, batch_size=4)):
        with pytest.raises(StepError, match=r"input 'vector' of the data is not finite"):
            trained(model, training, context(bad))
    network = load_network(model, context())
    kernel = named_weights(network)["hidden/kernel"]
    kernel.assign(np.full(kernel.shape, np.inf))
    network.save(model.path)
    with pytest.raises(StepError, match=r"'hidden/kernel' is not finite: 96 of 96"):
        load_network(model, context())


@pytest.mark.parametrize(
    ("kind", "labels", "said"),
    [
        ("residual", np.arange(96) % 4, r"a label is 3, expected 0\.\.2.*scores of 3 classes"),
        ("residual", -np.ones(96, int), r"a label is -1, expected 0\.\.2"),
        ("residual", np.zeros(96), r"dtype float64, expected integers 0\.\.2"),
        ("residual", np.array(["a"] * 96), r"dtype <U1, expected integers"),
        ("binary", np.arange(96) % 3, r"a label is 2, expected 0\.\.1.*one score"),
        ("regression", np.arange(96), r"a label is \d+, expected 0\.\.1"),
        ("regression", np.full(96, np.nan), "not finite"),
        ("regression", np.zeros((96, 2)), r"shape \[2\] per row, the output has \[1\]"),
    ],
)
def test_labels_that_do_not_fit(kind: str, labels: Any, said: str, saved, context) -> None:
    model, rows = saved(kind)
    with pytest.raises(StepError, match=said):
        trained(model, Training(epochs=1), context(replace(rows, labels=labels)))


@pytest.mark.parametrize(
    ("training", "said"),
    [
        (Training(output="other"), r"no output 'other'.*|set training.output"),
        (Training(augment=Augmentation(shift=0.1)), "training.augment.shift moves pixels"),
        (Training(patience=2, validation=0), "no rows to watch"),
    ],
    ids=["output", "augment", "patience"],
)
def test_options_that_do_not_fit(training: Training, said: str, saved, context) -> None:
    model, rows = saved("nested" if training.augment.shift else "two inputs, two outputs")
    with pytest.raises(StepError, match=said):
        trained(model, training, context(rows))


def test_an_output_of_choice(saved, context) -> None:
    model, rows = saved("two inputs, two outputs")
    sizes = replace(rows, labels=rows.inputs["vector"].sum(axis=1))
    training = Training(epochs=6, learning_rate=1e-2, output="size")
    _, history = trained(model, training, context(sizes))
    assert history.epochs[-1].validation_loss < history.epochs[0].validation_loss


def test_promises_are_kept(saved, context) -> None:
    """A sparse weight stays sparse, a clustered one clustered, and one that is both stays both."""
    model, rows = saved("logits")
    network = load_network(model, context())
    weights = named_weights(network)
    hidden = np.asarray(weights["hidden/kernel"].value)
    weights["hidden/kernel"].assign(np.round(hidden * 4) / 4)
    fc = np.asarray(weights["fc/kernel"].value)
    weights["fc/kernel"].assign(np.where(np.abs(fc) > 0.3, fc, 0))
    values = {name: np.asarray(weights[name].value) for name in ("hidden/kernel", "fc/kernel")}
    counts = {name: len(np.unique(value)) for name, value in values.items()}
    promises = (
        Clusters(weight="hidden/kernel", size=96, count=counts["hidden/kernel"]),
        Sparsity(
            weight="hidden/kernel", size=96, share=float(np.mean(values["hidden/kernel"] == 0))
        ),
        Sparsity(weight="fc/kernel", size=48, share=float(np.mean(values["fc/kernel"] == 0))),
    )
    before = save_network(network, model, context(folder="promised"), promises)
    assert before.promises == promises
    result, history = trained(before, THREE, context(rows))
    assert result.promises == promises and history.epochs[-1].loss is not None
    after = {
        n: np.asarray(w.value) for n, w in named_weights(load_network(result, context())).items()
    }
    for name, value in values.items():
        assert ((after[name] == 0) >= (value == 0)).all() and np.any(after[name] != value)
    assert len(np.unique(after["hidden/kernel"])) <= counts["hidden/kernel"]
    wrong = msgspec.structs.replace(
        before, promises=(Clusters(weight="gone/kernel", size=1, count=1),)
    )
    with pytest.raises(StepError, match=r"weight 'gone/kernel'.*is not there"):
        trained(wrong, THREE, context(rows))


def test_frozen_layers_are_trained_and_frozen_statistics_are_not(saved, context) -> None:
    model, rows = saved("residual")
    network = load_network(model, context())
    network.get_layer("conv1").trainable = network.get_layer("bn1").trainable = False
    network.save(model.path)
    before = {
        n: np.asarray(w.value) for n, w in named_weights(load_network(model, context())).items()
    }
    result, _ = trained(model, THREE, context(rows))
    after = {
        n: np.asarray(w.value) for n, w in named_weights(load_network(result, context())).items()
    }
    moved = {name for name, value in before.items() if not np.array_equal(value, after[name])}
    assert "conv1/kernel" in moved and not {name for name in moved if name.startswith("bn1")}


def test_without_data(saved, context) -> None:
    model, _ = saved("logits")
    with pytest.raises(StepError, match="the recipe has no data"):
        trained(model, THREE, context())
    result, history = trained(model, Training(epochs=0), context())
    assert history == History() and result.signature == model.signature


def test_code_that_is_trusted_stays_so(saved, context) -> None:
    """A Lambda goes through a training; the result is trusted by its own digest."""
    import keras

    model, rows = saved("logits")
    vector = keras.Input((6,), name="vector")
    doubled = keras.layers.Lambda(lambda x: x * 2.0, output_shape=(6,))(vector)
    keras.Model(vector, keras.layers.Dense(3, name="fc")(doubled)).save(model.path)
    digest = hashlib.sha256(model.path.read_bytes()).hexdigest()
    trusted = describe(model.path, "keras", trust=digest)
    result, _ = trained(trusted, THREE, context(rows))
    assert result.trusted == hashlib.sha256(result.path.read_bytes()).hexdigest()
    again, _ = trained(trusted, THREE, context(rows, "again"))
    assert again.trusted == result.trusted
