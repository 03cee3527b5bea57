"""The bounds of `convert.opset` are those of the installed libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from taxiway.convert.onnx import MAX_OPSET, MIN_OPSET
from taxiway.model.runners import open_runner


def test_the_newest_opset_is_that_of_onnx() -> None:
    assert onnx.defs.onnx_opset_version() == MAX_OPSET


@pytest.mark.parametrize("opset", [MIN_OPSET, MAX_OPSET])
def test_onnx_runtime_loads_both_ends(opset: int, tmp_path: Path, onnx_models: Any) -> None:
    model = onnx_models.save(
        tmp_path / "m.onnx",
        [helper.make_node("Relu", ["x"], ["y"])],
        [("x", TensorProto.FLOAT, [1])],
        [("y", TensorProto.FLOAT, [1])],
        opset,
    )
    open_runner(model)
