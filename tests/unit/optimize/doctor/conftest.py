"""A small classifier of pictures, and the doctor on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from onnx_graphs import F, Graph

from taxiway.model import Model
from taxiway.optimize.doctor import Doctor
from taxiway.plugins import Context


@pytest.fixture(scope="session")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A convolution, a ReLU and a dense layer over pictures."""
    g = Graph()
    x = g.call("Conv", "image", g.weight(4, 1, 3, 3), output="conv")
    x = g.call("Flatten", g.call("Relu", x, output="relu"))
    g.call("MatMul", x, g.weight(400, 3), output="scores")
    path = tmp_path_factory.mktemp("doctor") / "cnn.onnx"
    return g.save(path, [("image", F, ["n", 1, 12, 12])], [("scores", F, ["n", 3])])


@pytest.fixture
def doctor(tmp_path: Path) -> Any:
    """`doctor(model, data, **options)`: the figures."""

    def examine(model: Model, data: Any, **options: Any) -> dict[str, Any]:
        usual = {"split": "calibration", "samples": 64}
        usual |= {"test": "test"} if "test" in data.splits else {}
        usual |= {"labels": True} if "calibration" in data.labels else {}
        config = Doctor.Config(**{**usual, **options})
        return Doctor().run(model, config, Context(workdir=tmp_path, data=data))

    return examine
