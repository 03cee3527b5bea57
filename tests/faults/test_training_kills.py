"""A training that is killed goes on from its last epoch, to the same bytes."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from taxiway.optimize.training.checkpoint import Checkpoints, State

pytestmark = pytest.mark.slow

RECIPES = Path(__file__).parents[2] / "recipes"
RECIPE = f"""\
defaults: [base, {{source: keras}}, {{data: npz}}, {{optimize: [prune_magnitude]}}, _self_]
name: pruned
parity: null
source: {{path: {RECIPES}/models/digits.keras}}
data:
  path: {RECIPES}/data/digits.npz
  scale: 0.0625
  splits:
    train: {{inputs: x_train, labels: y_train}}
    test: {{inputs: x_test, labels: y_test}}
optimize: {{prune_magnitude: {{training: {{epochs: 12, patience: 4, augment: {{noise: 0.1}}}}}}}}
"""


def kept(store: Path) -> State | None:
    """What the unfinished training wrote."""
    for file in (store / "checkpoints").glob("*/*.npz"):
        return Checkpoints(file.parent, file.stem).load()
    return None


def training_of(report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = report["told"]["optimize.prune_magnitude"]["training"]
    return found


def test_killed_between_epochs(runs, new_runs, gone, tmp_path: Path) -> None:
    recipe = tmp_path / "pruned.yaml"
    recipe.write_text(RECIPE)
    allow = ("--allow-path", str(RECIPES))
    undisturbed = new_runs(tmp_path / "undisturbed")
    _, clean = undisturbed.finish(recipe, *allow)

    killed = runs.start(recipe, *allow)
    state = None
    while state is None or len(state.history.epochs) < 4:
        assert killed.process.poll() is None
        time.sleep(0.02)
        state = kept(runs.store)
    workers = killed.signal(signal.SIGKILL)
    killed.end()
    assert gone(workers)
    before = kept(runs.store)
    assert before is not None

    _, report = runs.finish(recipe, *allow)
    assert report["artifact_digest"] == clean["artifact_digest"]
    assert runs.models() == undisturbed.models()
    epochs = training_of(report)["epochs"]
    losses = [[e["validation_loss"] for e in training_of(r)["epochs"]] for r in (report, clean)]
    assert losses[0] == losses[1]
    # The seconds are those that were measured before the kill: no epoch was trained again.
    known = [epoch.seconds for epoch in before.history.epochs]
    assert [epoch["seconds"] for epoch in epochs[: len(known)]] == known
    assert kept(runs.store) is None
