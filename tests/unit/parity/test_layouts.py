"""Models whose channels a conversion moved: the same samples, in the order of the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.convert.onnx import OnnxConfig
from taxiway.convert.onnx_to_onnx import OnnxToOnnx
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.parity.outputs import Outputs
from taxiway.plugins import Context


@pytest.fixture
def cube(tmp_path: Path) -> Model:
    """A convolution of 3 channels on 3 x 3 pixels: no shape tells one order from the other."""
    weights = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype("f4")
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 3, 3, 3]) for n in "xy"]
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph(
        [node], "g", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")]
    )
    path = tmp_path / "cube.onnx"
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return describe(path, "onnx")


def test_an_order_that_no_shape_tells_is_proven(cube: Model, tmp_path: Path) -> None:
    for name in ("moved", "back", "proof"):
        (tmp_path / name).mkdir()
    moved = OnnxToOnnx().run(cube, OnnxConfig(io_layout="nhwc"), Context(tmp_path / "moved"))
    back = OnnxToOnnx().run(moved, OnnxConfig(io_layout="nchw"), Context(tmp_path / "back"))
    options = Outputs.Config(allow_random=True)
    for reference, model in ((cube, moved), (moved, back)):
        context = Context(tmp_path / "proof", reference=reference)
        assert Outputs().run(model, options, context)["equal"]
