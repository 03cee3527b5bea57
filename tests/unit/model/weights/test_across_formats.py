"""One network in every format: the same kernels, whatever they are called and however they lie."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.weights import parameters, sparsity, stored_weights
from taxiway.plugins import Context, registry

pytestmark = pytest.mark.slow

DIGITS = Path(__file__).parents[4] / "recipes" / "vision" / "mnist.keras"
WAYS = {"saved_model": "keras", "tflite": "keras", "onnx": "saved_model"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Model]:
    folder = tmp_path_factory.mktemp("formats")
    shutil.copy(DIGITS, folder / "m.keras")
    found = {"keras": describe(folder / "m.keras", "keras")}
    for format, before in WAYS.items():
        (folder / format).mkdir()
        plugin = registry().get("converter", f"{before}_to_{format}")
        step: Any = plugin.implementation(before)
        context = Context(workdir=folder / format)
        found[format] = step.run(found[before], plugin.step.Config(), context)
    return found


@pytest.mark.parametrize("format", ["keras", *WAYS])
def test_kernels(models: Mapping[str, Model], format: str) -> None:
    first = {w.size: w for w in stored_weights(models["keras"]) if w.is_kernel}
    found = {w.size: w for w in stored_weights(models[format]) if w.is_kernel and w.size in first}
    assert set(found) == set(first)
    for size, weight in found.items():
        np.testing.assert_allclose(np.sort(weight.values, None), np.sort(first[size].values, None))
        matrix = weight.matrix()
        if format != "saved_model":
            assert matrix is not None
            wanted = first[size].matrix()
            assert wanted is not None and matrix.shape == wanted.shape


@pytest.mark.parametrize("format", ["keras", *WAYS])
def test_figures(models: Mapping[str, Model], format: str) -> None:
    assert parameters(models[format]) == pytest.approx(61_706, rel=0.001)
    assert sparsity(models[format]) == 0
