"""A step whose result breaks what an earlier pass promised fails, and names weight, promise and finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.errors import StepError
from taxiway.execute.worker_main import _keeping
from taxiway.model import Model, Signature
from taxiway.model.promises import Clusters, Sparsity
from taxiway.plugins import Converter, Pass

ZEROS = Sparsity(weight="dense/kernel", size=40, share=0.5)
VALUES = Clusters(weight="dense/kernel", size=40, count=3)


class Renewing(Pass):
    renews = True


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A product with a weight of 40 elements, half of them zero, and three values."""
    values = np.tile([0, 0, 1, 2], 10).astype(np.float32).reshape(5, 8)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(values, "w")])
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    signature = Signature(inputs=(), outputs=())
    return Model(format="onnx", path=tmp_path / "m.onnx", signature=signature)


def _with(model: Model, *promises: Any) -> Model:
    return msgspec.structs.replace(model, promises=promises)


@pytest.mark.parametrize("step", [Converter(), Pass()], ids=["converter", "pass"])
def test_promises_go_on(model: Model, step: Any) -> None:
    result = _keeping("step", step, _with(model, ZEROS), _with(model, VALUES))
    assert result.promises == (ZEROS, VALUES)


def test_a_new_network_has_its_own(model: Model) -> None:
    before = _with(model, msgspec.structs.replace(ZEROS, share=0.9))
    assert _keeping("step", Renewing(), before, _with(model, VALUES)).promises == (VALUES,)


@pytest.mark.parametrize(
    ("promise", "found"),
    [
        (msgspec.structs.replace(ZEROS, share=0.6), "promised 60.00% zeros, found 50.00%"),
        (msgspec.structs.replace(VALUES, count=2), "promised 2 distinct values, found 3"),
        (msgspec.structs.replace(VALUES, size=48), "no weight of 48 elements is left"),
    ],
    ids=["zeros", "values", "gone"],
)
def test_a_broken_one_fails(model: Model, promise: Any, found: str) -> None:
    with pytest.raises(StepError) as caught:
        _keeping("convert", Converter(), _with(model, promise), model)
    message = caught.value.message
    assert message.startswith("convert does not keep what an earlier pass promised")
    assert "dense/kernel" in message and found in message
