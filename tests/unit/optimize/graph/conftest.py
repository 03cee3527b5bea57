"""One pass over a graph in a folder of its own, and the proof that the plan would add."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from taxiway.model import Model
from taxiway.parity.outputs import Outputs
from taxiway.plugins import Context, registry


@pytest.fixture
def optimize(tmp_path: Path) -> Any:
    """`optimize(model, name, **options)` -> the result and what the pass told."""

    def run(model: Model, name: str, **options: Any) -> tuple[Model, dict[str, Any]]:
        plugin = registry().get("optimize", name)
        config = msgspec.convert(options, plugin.step.Config)
        workdir = tmp_path / f"work{len(list(tmp_path.iterdir()))}"
        workdir.mkdir()
        told: dict[str, Any] = {}
        context = Context(workdir=workdir, tell=told.__setitem__)
        result = plugin.implementation(model.format).run(model, config, context)
        left = {path.name for path in workdir.iterdir()}
        assert result.path.name in left and not any(name.startswith("tmp") for name in left)
        return result, told

    return run


@pytest.fixture
def proven(tmp_path: Path) -> Any:
    """`proven(before, after)`: the figures of the proof on random inputs."""

    def prove(before: Model, after: Model) -> dict[str, Any]:
        workdir = tmp_path / f"proof{len(list(tmp_path.iterdir()))}"
        workdir.mkdir()
        context = Context(workdir=workdir, reference=before)
        return Outputs().run(after, Outputs.Config(allow_random=True, samples=4), context)

    return prove
