"""The pass on Keras files: training, importance by gradient, the same bytes after a kill, bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.optimize.channels.keras.prune import KerasChannels
from taxiway.plugins import Context, Selection

pytestmark = pytest.mark.slow
Run = Callable[..., tuple[Model, dict[str, Any]]]
MOMENT = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01}


@pytest.fixture
def prune(context: Callable[..., Context]) -> Run:
    def run(
        model: Model, data: Any = None, folder: str = "work", **options: Any
    ) -> tuple[Model, dict[str, Any]]:
        step, told = KerasChannels(), {}
        config = msgspec.convert({"training": {"epochs": 0}, **options}, step.Config)
        step.check(config)
        given = context(data, folder, tell=told.__setitem__)
        return step.run(model, config, given), told

    return run


def test_every_kind_of_network_is_cut_or_says_why(
    kind: str, saved: Callable[[str], Any], prune: Run
) -> None:
    model, _ = saved(kind)
    if kind in ("binary", "fixed batch"):
        with pytest.raises(StepError, match=r"no channel of .*it is output|ends with softmax"):
            prune(model)
        return
    if kind in ("recurrent", "tokens"):
        with pytest.raises(StepError, match=r"it is recurrent|not followed through"):
            prune(model)
        return
    pruned, told = prune(model)
    facts = told["channels"]
    assert pruned.signature == model.signature
    assert facts["proof"] is not None and facts["proof"] < 1e-4
    assert facts["macs"][1] < facts["macs"][0] and facts["parameters"][1] < facts["parameters"][0]
    assert any(after < before for before, after in facts["layers"].values())


def test_training_repairs_what_the_cut_broke(saved: Callable[[str], Any], prune: Run) -> None:
    model, data = saved("logits")
    trained = {**MOMENT, "epochs": 20, "validation": 0.2}
    pruned, told = prune(model, data, share=0.5, training=trained)
    epochs = told["training"]["epochs"]
    assert epochs[-1]["validation_loss"] < epochs[0]["validation_loss"]
    (scores,) = open_runner(pruned).predict(dict(data.inputs)).values()
    assert (scores.argmax(1) == data.labels).mean() > 0.7
    assert told["channels"]["layers"]["hidden"] == [16, 8]


def test_cut_and_train_in_turns(saved: Callable[[str], Any], prune: Run) -> None:
    """Three times a share of what is left: 16 -> 10 -> 7 -> 4."""
    model, data = saved("logits")
    _, told = prune(model, data, share=0.75, iterations=3, training=MOMENT)
    assert told["channels"]["layers"]["hidden"] == [16, 4]
    assert {"training 1", "training 2", "training 3"} <= told.keys()


@pytest.mark.parametrize("importance", ["activation", "gradient"])
def test_importance_on_samples(
    importance: str, saved: Callable[[str], Any], prune: Run, tmp_path: Path
) -> None:
    """Units that are never on matter to neither measure, whatever their weights."""
    from taxiway.model.load_keras import load_keras

    model, data = saved("logits")
    network = load_keras(model.path)
    kernel, bias = network.get_layer("hidden").get_weights()
    dead = [1, 4, 5, 9]
    kernel[:, dead], bias[dead] = kernel[:, dead] * 10, -1000
    network.get_layer("hidden").set_weights([kernel, bias])
    network.save(tmp_path / "dead.keras")
    dying = describe(tmp_path / "dead.keras", "keras")
    options = {"importance": importance, "share": 0.25, "split": "train", "samples": 48}
    pruned, _ = prune(dying, data, **options)
    inputs = dict(data.inputs)
    (found,), (expected,) = (open_runner(m).predict(inputs).values() for m in (pruned, dying))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert max(data.read) <= 48
    by_weights, _ = prune(dying, data, "weights", share=0.25)
    (other,) = open_runner(by_weights).predict(inputs).values()
    assert np.abs(other - expected).max() > 0.01


def test_activations_inside_of_nested_networks(saved: Callable[[str], Any], prune: Run) -> None:
    model, data = saved("nested")
    pruned, told = prune(model, data, importance="activation", split="train", share=0.5)
    assert told["channels"]["layers"]["a/fc"] == [6, 3]
    assert pruned.signature == model.signature


def test_equal_bytes(saved: Callable[[str], Any], prune: Run) -> None:
    model, data = saved("residual")
    options = {"importance": "gradient", "split": "train", "training": MOMENT}
    one, two = (prune(model, data, folder, **options)[0] for folder in ("one", "two"))
    assert one.path.read_bytes() == two.path.read_bytes()


def test_a_second_attempt_goes_on_from_the_checkpoint(
    saved: Callable[[str], Any], context: Callable[..., Context], tmp_path: Path
) -> None:
    """Stopped in the second of two trainings: the result has the bytes of an undisturbed run."""
    model, data = saved("logits")
    step = KerasChannels()
    config = msgspec.convert({"iterations": 2, "training": MOMENT}, step.Config)
    expected = step.run(model, config, context(data, "whole"))
    seen: list[int] = []

    class Stopped(Exception):
        pass

    def stop(done: int, total: int | None, unit: str) -> None:
        if unit == "epochs":
            seen.append(done)
            if len(seen) == 3:
                raise Stopped

    kept = tmp_path / "kept"
    with pytest.raises(Stopped):
        step.run(model, config, context(data, "first", checkpoints=kept, progress=stop))
    resumed: list[int] = []

    def count(done: int, total: int | None, unit: str) -> None:
        if unit == "epochs":
            resumed.append(done)

    found = step.run(model, config, context(data, "second", checkpoints=kept, progress=count))
    assert found.path.read_bytes() == expected.path.read_bytes()
    assert len(resumed) < 4


def test_promises_of_single_weights_end(saved: Callable[[str], Any], prune: Run) -> None:
    from taxiway.model.promises import Sparsity

    model, _ = saved("logits")
    promise = Sparsity(weight="hidden/kernel", size=96, share=0.5)
    pruned, _ = prune(msgspec.structs.replace(model, promises=(promise,)))
    assert pruned.promises == ()


def test_labels_that_do_not_fit(saved: Callable[[str], Any], prune: Run) -> None:
    model, data = saved("logits")
    data.labels = data.labels + 2
    with pytest.raises(StepError, match=r"a label is \d, expected 0..2"):
        prune(model, data, importance="gradient", split="train")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [Selection("train", labels=True)]),
        ({"training": {"epochs": 0}}, []),
        (
            {"training": {"epochs": 0}, "importance": "activation"},
            [Selection("calibration", 256)],
        ),
        (
            {"importance": "gradient", "samples": 9},
            [Selection("train", 9, labels=True), Selection("train", labels=True)],
        ),
    ],
    ids=["training", "nothing", "activation", "gradient"],
)
def test_reads(options: dict[str, Any], expected: list[Selection]) -> None:
    step = KerasChannels()
    assert list(step.reads(msgspec.convert(options, step.Config))) == expected


def test_turns_without_training_are_refused() -> None:
    step = KerasChannels()
    config = msgspec.convert({"iterations": 2, "training": {"epochs": 0}}, step.Config)
    with pytest.raises(ValueError, match="'iterations' above 1"):
        step.check(config)
