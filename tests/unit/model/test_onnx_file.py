"""ONNX files and the files they name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.errors import SafetyError, StepError
from taxiway.model.onnx_file import check_file, copy_model, load_graph, size_of, write_graph


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """A model whose only weight is in the file `model.onnx`, as another one calls itself."""
    folder = tmp_path / "source"
    folder.mkdir()
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(np.eye(8, dtype="f4"), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = folder / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="model.onnx", size_threshold=0)
    return path


def test_a_copy_keeps_every_byte_and_overwrites_no_weights(external: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    copy = copy_model(external, tmp_path / "copy")
    assert copy.name == "graph.onnx"
    assert copy.read_bytes() == external.read_bytes()
    weights = external.with_name("model.onnx").read_bytes()
    assert copy.with_name("model.onnx").read_bytes() == weights
    assert size_of(copy) == len(weights) + copy.stat().st_size
    check_file(copy)


def test_a_link_is_not_copied(external: Path, tmp_path: Path) -> None:
    weights = external.with_name("model.onnx")
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "copy").mkdir()
    with pytest.raises(SafetyError, match=r"'model\.onnx' is no plain file"):
        copy_model(external, tmp_path / "copy")


def test_a_graph_is_read_without_its_weights(external: Path) -> None:
    external.with_name("model.onnx").unlink()
    assert load_graph(external).graph.initializer[0].name == "w"


@pytest.mark.parametrize("content", [b"", b"junk"])
def test_what_is_no_onnx_is_an_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    if content:
        with pytest.raises(StepError, match="no readable ONNX model"):
            load_graph(path)
    with pytest.raises(StepError, match="invalid model"):
        write_graph(onnx.ModelProto(), path)
        check_file(path)


def test_above_the_limit_of_protobuf_weights_go_beside(
    external: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taxiway.model.onnx_file.MAX_INLINE", 200)
    proto = onnx.load(external)
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((8, 64), "f4"), "w"))
    proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 64
    path = write_graph(proto, tmp_path / "model.onnx")
    assert path.stat().st_size < 1024 < path.with_name("model.onnx.data").stat().st_size
    check_file(path)
