"""The contracts of the steps that give a model: source, convert, optimize."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from taxiway.errors import TaxiwayError
from taxiway.execute.digest import digest_tree
from taxiway.model import Format, Model, Signature
from taxiway.model.inspect import describe
from taxiway.model.layout import in_file_order
from taxiway.plugins import Dataset, Plugin, registry
from taxiway.testing.contract import PluginContract, context_in, digests, step_of
from taxiway.testing.datasets import WatchedDataset


class SourceContract(PluginContract):
    """The `paths` fixture gives `{"path": ...}` of a trained model."""

    section = "source"

    def test_run(self, plugin: Plugin, config: Any, scratch: Path) -> None:
        """The model is copied into the work folder as it is; twice gives equal bytes."""
        before = digests(Path(config.path))
        models = [
            step_of(plugin, None).run(config, context_in(scratch / str(n)))  # type: ignore[attr-defined]
            for n in range(2)
        ]
        assert digests(Path(config.path)) == before
        check_result(models[0], plugin.step.produces, scratch / "0")
        assert digest_tree(scratch / "0") == digest_tree(scratch / "1")

    def test_another_file_is_a_user_error(self, plugin: Plugin, config: Any, scratch: Path) -> None:
        (scratch / "text").write_text("This is no model.")
        other = msgspec.structs.replace(config, path=str(scratch / "text"))
        with pytest.raises(TaxiwayError):
            step_of(plugin, None).run(other, context_in(scratch / "w"))  # type: ignore[attr-defined]


class _FromModel(PluginContract):
    """What convert and optimize share."""

    @pytest.fixture
    def model(self) -> Model:
        """A model that the step takes."""
        raise NotImplementedError("define a fixture `model` in your class")

    @pytest.fixture
    def data(self) -> Dataset | None:
        """The recipe's dataset, for a step that reads samples."""
        return None

    @pytest.fixture
    def result(
        self, plugin: Plugin, config: Any, model: Model, data: Dataset | None, scratch: Path
    ) -> Model:
        """The step's result, after all that holds for both sections was checked."""
        step = step_of(plugin, model)
        step.check(config)
        before = digests(model.path)
        results = []
        for attempt in ("first", "second"):
            watched = WatchedDataset(data) if data else None
            context = context_in(scratch / attempt, data=watched)
            results.append(step.run(model, config, context))  # type: ignore[attr-defined]
            undeclared = (watched.read if watched else set()) - {*step.reads(config)}
            assert not undeclared, f"reads what reads() does not declare: {undeclared}"
        assert digests(model.path) == before, "the step changed its input"
        made = [digest_tree(scratch / attempt) for attempt in ("first", "second")]
        assert made[0] == made[1], "two runs gave different bytes"
        produces = plugin.step.produces or model.format
        check_result(results[0], produces, scratch / "first")
        found: Model = results[0]
        return found


class TargetContract(PluginContract):
    """A target has options and no `run`: its converters have."""

    section = "convert"

    def test_a_converter_leads_there(self, plugin: Plugin) -> None:
        ends = {other.step.produces for other in registry().section("converter").values()}
        assert plugin.step.produces in ends


class ConverterContract(_FromModel):
    """Define a `model` fixture, and `data` where the step reads samples."""

    section = "converter"

    def test_run(self, model: Model, result: Model) -> None:
        """As many inputs and outputs as before."""
        for side in ("inputs", "outputs"):
            assert len(getattr(model.signature, side)) == len(getattr(result.signature, side))


class PassContract(_FromModel):
    """Define a `model` fixture, and `data` where the step reads samples."""

    section = "optimize"

    def test_run(self, model: Model, result: Model) -> None:
        """Inputs and outputs keep their names and order."""
        assert _names(result.signature) == _names(model.signature)


def check_result(model: Model, format: Format | None, workdir: Path) -> None:
    """A model of this format, inside the work folder, whose file says the same of its signature."""
    assert model.format == format
    assert model.path.is_relative_to(workdir), "the result lies outside the work folder"
    assert describe(model.path, format).signature == in_file_order(model).signature


def _names(signature: Signature) -> tuple[list[str], list[str]]:
    return [spec.name for spec in signature.inputs], [spec.name for spec in signature.outputs]
