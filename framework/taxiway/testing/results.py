"""The contracts of the steps that judge a model or deploy it: parity, evaluate, ledger and deploy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from taxiway.errors import TaxiwayError
from taxiway.execute.digest import digest_tree
from taxiway.model import Model
from taxiway.plugins import Dataset, Measurement, Plugin, Stage
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


class CalibrationContract(_AtTheEnd):
    """Define `model` and `data` fixtures; options must not name a split."""

    section = "calibration"
    split: ClassVar[str] = "calibration"

    def test_run(
        self, plugin: Plugin, config: Any, model: Model, data: Dataset, scratch: Path
    ) -> None:
        """Warnings are sentences, the figures plain, finite JSON, and the same again."""
        step, watched = step_of(plugin, model), WatchedDataset(data)
        filled = msgspec.structs.replace(config, split=self.split, samples=64)
        step.check(filled)
        before = digests(model.path)
        found = []
        for attempt in ("first", "second"):
            context = context_in(scratch / attempt, data=watched)
            found.append(step.run(model, filled, context))  # type: ignore[attr-defined]
        assert json.loads(json.dumps(found[0], allow_nan=False)) == found[0]
        assert found[0] == found[1], "two looks at the same samples differ"
        assert all(isinstance(warning, str) for warning in found[0]["warnings"])
        assert digests(model.path) == before, "the step changed its input"
        undeclared = watched.read - {*step.reads(filled)}
        assert not undeclared, f"reads what reads() does not declare: {undeclared}"

    def test_without_samples_is_a_user_error(
        self, plugin: Plugin, config: Any, model: Model, scratch: Path
    ) -> None:
        with pytest.raises(TaxiwayError):
            step_of(plugin, model).run(model, config, context_in(scratch / "work"))  # type: ignore[attr-defined]


class ParityContract(_AtTheEnd):
    """Define `model`, `data` and `other` fixtures; options must not name a split."""

    section = "parity"
    split: ClassVar[str] = "test"

    @pytest.fixture
    def other(self) -> Model:
        """A model with the inputs and outputs of `model` that gives something else."""
        raise NotImplementedError("define a fixture `other` in your class")

    @pytest.fixture
    def filled(self, config: Any) -> Any:
        """The options with the split that the planner fills in."""
        return msgspec.structs.replace(config, split=self.split)

    def test_a_model_equals_itself(
        self, plugin: Plugin, filled: Any, model: Model, data: Dataset, scratch: Path
    ) -> None:
        step, watched = step_of(plugin, model), WatchedDataset(data)
        step.check(filled)
        before = digests(model.path)
        found = []
        for attempt in ("first", "second"):
            context = context_in(scratch / attempt, data=watched, reference=model)
            found.append(step.run(model, filled, context))  # type: ignore[attr-defined]
        assert found[0]["equal"] is True, found[0]["reason"]
        assert found[0] == found[1], "two proofs of the same models differ"
        assert digests(model.path) == before, "the step changed its input"
        undeclared = watched.read - {*step.reads(filled)}
        assert not undeclared, f"reads what reads() does not declare: {undeclared}"

    def test_another_model_is_not_equal(
        self, plugin: Plugin, filled: Any, model: Model, other: Model, data: Dataset, scratch: Path
    ) -> None:
        """That is a verdict with a reason, not an error; the figures are plain, finite JSON."""
        context = context_in(scratch / "work", data=data, reference=model)
        figures = step_of(plugin, other).run(other, filled, context)  # type: ignore[attr-defined]
        assert json.loads(json.dumps(figures, allow_nan=False)) == figures
        assert figures["equal"] is False
        assert figures["reason"] and "\n" not in figures["reason"]

    def test_without_samples_is_a_user_error(
        self, plugin: Plugin, config: Any, model: Model, scratch: Path
    ) -> None:
        if config.allow_random:
            pytest.skip("these options allow random samples")
        context = context_in(scratch / "work", reference=model)
        with pytest.raises(TaxiwayError):
            step_of(plugin, model).run(model, config, context)  # type: ignore[attr-defined]


class LedgerContract(_AtTheEnd):
    """Define `model` and `data` fixtures; options must not name a split."""

    section = "ledger"
    split: ClassVar[str] = "test"

    def test_run(
        self, plugin: Plugin, config: Any, model: Model, data: Dataset, scratch: Path
    ) -> None:
        """A row for every model; the figures are plain, finite JSON."""
        step, watched = step_of(plugin, model), WatchedDataset(data)
        filled = msgspec.structs.replace(config, split=self.split)
        step.check(filled)
        before = digests(model.path)
        chain = (Stage("source", "any", model), Stage("convert", "any", model))
        context = context_in(scratch / "ledger", data=watched, chain=chain)
        figures = step.run(model, filled, context)  # type: ignore[attr-defined]
        assert json.loads(json.dumps(figures, allow_nan=False)) == figures
        assert [row["step"] for row in figures["rows"]] == ["source", "convert"]
        assert isinstance(figures["warnings"], list)
        assert digests(model.path) == before, "the step changed its input"
        undeclared = watched.read - {*step.reads(filled)}
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
