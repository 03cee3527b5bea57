"""Passes after one another, through a recipe: what the first promised is in the last one's file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import taxiway
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.weights import StoredWeight, stored_weights

pytestmark = pytest.mark.slow

RECIPES = Path(__file__).parents[3] / "recipes"
RECIPE = """\
defaults:
  - base
  - source: keras
  - data: npz
  - convert: {target}
  - optimize: [{passes}]
  - _self_
name: chain
ledger: null
calibration: null
source: {{path: digits.keras}}
data:
  path: digits.npz
  scale: 0.0625
  splits:
    train: {{inputs: x_train, labels: y_train}}
    calibration: {{inputs: x_train}}
    test: {{inputs: x_test, labels: y_test}}
optimize:
  {options}
"""
CHAIN = "prune_magnitude, cluster_weights, quantize_aware_training, quantize_static"
TRAINED = "training: {epochs: 1, samples: 300}"
OPTIONS = f"""prune_magnitude: {{sparsity: 0.6, {TRAINED}}}
  cluster_weights: {{clusters: 12, {TRAINED}}}
  quantize_aware_training: {{{TRAINED}}}
"""


def _run(folder: Path, target: str, passes: str, options: str) -> Model:
    for name in ("models/digits.keras", "data/digits.npz"):
        shutil.copy(RECIPES / name, folder)
    text = RECIPE.format(target=target, passes=passes, options=options)
    (folder / f"{target}.yaml").write_text(text)
    result = taxiway.load(folder / f"{target}.yaml").run(
        output=folder / "runs", store=folder / "store"
    )
    assert result.artifact is not None
    return describe(result.artifact, target)


def _kernels(model: Model) -> list[StoredWeight]:
    return [weight for weight in stored_weights(model) if weight.is_kernel]


def test_zeros_and_values_come_through(tmp_path: Path) -> None:
    """To integers of both formats, in one store: what comes before the conversion is made once."""
    for target in ("tflite", "onnx"):
        kernels = _kernels(_run(tmp_path, target, CHAIN, OPTIONS))
        assert {str(weight.values.dtype) for weight in kernels} == {"int8"}
        zeros = sum(weight.zeros() for weight in kernels) / sum(w.size for w in kernels)
        assert zeros == pytest.approx(0.6, abs=0.005)
        assert all(weight.distinct() <= 12 for weight in kernels)
        assert max(weight.distinct() for weight in kernels) == 12
        assert all(np.count_nonzero(weight.values) for weight in kernels)


def test_a_step_that_undoes_an_earlier_one_fails(tmp_path: Path) -> None:
    options = (
        "cluster_weights: {clusters: 12, training: {epochs: 0}}\n"
        "  quantize_static: {granularity: per_channel}"
    )
    with pytest.raises(StepError, match="12 distinct values, found"):
        _run(tmp_path, "tflite", "cluster_weights, quantize_static", options)
