from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from taxiway.model import Model
from taxiway.plugins import Context, registry

_SCRIPT = Path(__file__).with_name("onnx_models.py")


@pytest.fixture(scope="session")
def onnx_models() -> Any:
    """The module of small ONNX models, which lies beside the tests and in no package."""
    spec = importlib.util.spec_from_file_location("onnx_models", _SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def convert(tmp_path: Path) -> Callable[..., Model]:
    """`convert(model, "onnx", opset=21)`: by the converter between the two formats, in a new folder."""
    numbers = itertools.count()

    def run(model: Model, target: str, **options: Any) -> Model:
        plugin = registry().get("converter", f"{model.format}_to_{target}")
        workdir = tmp_path / f"converted-{next(numbers)}"
        workdir.mkdir()
        step: Any = plugin.implementation(model.format)
        return step.run(model, msgspec.convert(options, plugin.step.Config), Context(workdir))

    return run
