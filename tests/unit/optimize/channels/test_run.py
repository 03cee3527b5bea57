"""A whole run: cut and trained in Keras, then converted; what the pass told is in the result."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import taxiway
from taxiway.errors import RecipeError
from taxiway.model.inspect import describe

RECIPES = Path(__file__).parents[4] / "recipes"
RECIPE = """\
defaults:
  - base
  - source: {source}
  - data: npz
  - convert: {target}
  - optimize: [prune_channels]
  - _self_
name: narrow
ledger: null
source: {{path: {path}}}
data:
  path: digits.npz
  scale: 0.0625
  splits:
    train: {{inputs: x_train, labels: y_train}}
    test: {{inputs: x_test, labels: y_test}}
optimize:
  prune_channels: {{target: {{macs: 0.5}}, training: {{epochs: 1, samples: 64}}}}
"""


def recipe(folder: Path, source: str, target: str, path: str) -> Path:
    shutil.copyfile(RECIPES / "data" / "digits.npz", folder / "digits.npz")
    file = folder / "narrow.yaml"
    file.write_text(RECIPE.format(source=source, target=target, path=path))
    return file


@pytest.mark.slow
def test_a_run_cuts_before_it_converts(tmp_path: Path) -> None:
    shutil.copyfile(RECIPES / "models" / "digits.keras", tmp_path / "digits.keras")
    file = recipe(tmp_path, "keras", "onnx", "digits.keras")
    result = taxiway.load(file).run(output=tmp_path / "runs", store=tmp_path / "store")
    names = [step.name for step in result.steps]
    assert names.index("optimize.prune_channels") < names.index("convert")
    told = result.told["optimize.prune_channels"]
    before, after = told["channels"]["macs"]
    assert after <= before / 2
    assert len(told["training"]["epochs"]) == 2
    assert result.artifact is not None
    model = describe(result.artifact, "onnx")
    assert model.signature.outputs[0].shape[1:] == (10,)
    assert np.isfinite(told["channels"]["proof"])


def test_a_training_of_an_onnx_model_is_a_mistake_of_the_recipe(tmp_path: Path) -> None:
    """Before anything runs, at the line of the pass."""
    (tmp_path / "model.onnx").write_bytes(b"not read by a plan")
    file = recipe(tmp_path, "onnx", "onnx", "model.onnx")
    with pytest.raises(RecipeError, match="'training' works on keras only") as caught:
        taxiway.load(file).plan()
    assert any(problem.line for problem in caught.value.problems)
