"""The contracts of the steps at a recipe's end: evaluate and deploy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from taxiway.execute.digest import digest_tree
from taxiway.model import Model
from taxiway.plugins import Dataset, Measurement, Plugin
from taxiway.testing.contract import PluginContract, context_in, digests, step_of
from taxiway.testing.datasets import WatchedDataset


class _AtTheEnd(PluginContract):
    @pytest.fixture
    def model(self) -> Model:
        """A model that the step takes."""
        raise NotImplementedError("define a fixture `model` in your class")

    @pytest.fixture
    def data(self) -> Dataset:
        """The dataset that the step reads."""
        raise NotImplementedError("define a fixture `data` in your class")


class EvaluateContract(_AtTheEnd):
    """Define `model` and `data` fixtures."""

    section = "evaluate"

    def test_run(
        self, plugin: Plugin, config: Any, model: Model, data: Dataset, scratch: Path
    ) -> None:
        """The source is measured, then the result against it; the figures are plain, finite JSON."""
        step, watched = step_of(plugin, model), WatchedDataset(data)
        step.check(config)
        before, baseline = digests(model.path), None
        if step.compares(config):  # type: ignore[attr-defined]
            context = context_in(scratch / "source", data=watched)
            figures = step.run(model, config, context)  # type: ignore[attr-defined]
            baseline = Measurement(figures, scratch / "source")
        context = context_in(scratch / "result", data=watched, baseline=baseline)
        figures = step.run(model, config, context)  # type: ignore[attr-defined]
        assert json.loads(json.dumps(figures, allow_nan=False)) == figures
        assert figures["n"] > 0
        assert digests(model.path) == before, "the step changed its input"
        undeclared = watched.read - {*step.reads(config)}
        assert not undeclared, f"reads what reads() does not declare: {undeclared}"


class DeployContract(_AtTheEnd):
    """Define `model` and `data` fixtures."""

    section = "deploy"

    @pytest.fixture
    def figures(self) -> Mapping[str, Any]:
        """What an evaluation gave, as `Context.figures`."""
        return {}

    def test_run(
        self,
        plugin: Plugin,
        config: Any,
        model: Model,
        data: Dataset,
        figures: Mapping[str, Any],
        scratch: Path,
    ) -> None:
        """A folder is written into the work folder; equal inputs give equal bytes."""
        step, watched = step_of(plugin, model), WatchedDataset(data)
        step.check(config)
        before = digests(model.path)
        recipe: dict[str, Any] = {"name": "contract", "description": None, "steps": []}
        for attempt in ("first", "second"):
            context = context_in(scratch / attempt, data=watched, figures=figures, recipe=recipe)
            step.run(model, config, context)  # type: ignore[attr-defined]
        made = digest_tree(scratch / "first")
        assert made and made == digest_tree(scratch / "second")
        assert digests(model.path) == before, "the step changed its input"
        undeclared = watched.read - {*step.reads(config)}
        assert not undeclared, f"reads what reads() does not declare: {undeclared}"
