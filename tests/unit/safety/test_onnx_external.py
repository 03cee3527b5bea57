"""The files that an ONNX file names, wherever in it the tensor stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

import taxiway
from taxiway.safety.onnx_external import external_names


def external(name: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.ones(4, np.float32), name)
    external_data_helper.set_external_data(tensor, f"{name}.bin", offset=0, length=16)
    return tensor


def test_every_place_of_a_tensor_is_found(tmp_path: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=external("attribute"))],
        "inner",
        [],
        [],
        [external("subgraph")],
    )
    nodes = [helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)]
    graph = helper.make_graph(nodes, "outer", [], [], [external("initializer"), external("other")])
    constant = helper.make_node("Constant", [], ["c"], value=external("function"))
    opset = [helper.make_opsetid("", 18)]
    function = helper.make_function("mine", "f", [], ["c"], [constant], opset)
    model = helper.make_model(graph, functions=[function])
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    names = ["attribute", "function", "initializer", "other", "subgraph"]
    assert external_names(tmp_path / "m.onnx") == [f"{name}.bin" for name in names]


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xff" * 20, b"PK\x03\x04", b"\x3a\x7f"])
def test_what_is_no_onnx_names_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    assert external_names(tmp_path / "m.onnx") == []


def test_other_weights_in_the_other_file_are_another_source(onnx_recipe: Path) -> None:
    path = onnx_recipe.with_name("blobs.onnx")
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    before = [step.key for step in taxiway.load(onnx_recipe).plan().steps]
    weights = bytearray(path.with_name("w.bin").read_bytes())
    weights[0] ^= 1
    path.with_name("w.bin").write_bytes(weights)
    after = [step.key for step in taxiway.load(onnx_recipe).plan().steps]
    assert not set(before) & set(after)
