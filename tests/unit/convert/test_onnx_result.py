"""Repairs and refusals after tf2onnx, on graphs built by hand."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from taxiway.convert.onnx_result import unknown_ops, write_onnx
from taxiway.errors import StepError
from taxiway.model import Model, Signature, TensorSpec
from taxiway.plugins import Note

SPECS = (
    TensorSpec(name="x", dtype="float32", shape=("batch", 2)),
    TensorSpec(name="y", dtype="float32", shape=("batch", 2)),
)


def model_of(*nodes: onnx.NodeProto, dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", dtype, ["unk__1", 2])
    y = helper.make_tensor_value_info("y", dtype, ["unk__2", 2])
    graph = helper.make_graph(list(nodes), "g", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def source(inputs: TensorSpec = SPECS[0], outputs: TensorSpec = SPECS[1]) -> Model:
    signature = Signature(inputs=(inputs,), outputs=(outputs,))
    return Model(format="saved_model", path=Path("saved_model"), signature=signature)


def test_unknown_ops_are_counted_also_inside_branches() -> None:
    inner = helper.make_graph(
        [helper.make_node("TFL_GELU", ["x"], ["z"])],
        "then",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
    )
    model = model_of(
        helper.make_node("Betainc", ["x", "x", "x"], ["b"]),
        helper.make_node("Betainc", ["x", "x", "b"], ["c"]),
        helper.make_node("If", ["flag"], ["y"], then_branch=inner, else_branch=inner),
    )
    assert unknown_ops(model) == ["Betainc (2 nodes)", "TFL_GELU (2 nodes)"]


def test_a_repair_is_noted(tmp_path: Path) -> None:
    notes: list[Note] = []
    model = model_of(helper.make_node("Erfc", ["x"], ["y"]))
    write_onnx(model, source(), tmp_path / "model.onnx", note=notes.append)
    assert [(note.repair, note.count) for note in notes] == [("erfc", 1)]


def test_an_unknown_op_is_an_error_that_names_it(tmp_path: Path) -> None:
    model = model_of(helper.make_node("MatrixInverse", ["x"], ["y"]))
    with pytest.raises(StepError, match="opset 13 has no op: MatrixInverse"):
        write_onnx(model, source(), tmp_path / "model.onnx")


def test_an_invalid_graph_is_an_error(tmp_path: Path) -> None:
    model = model_of(helper.make_node("Relu", ["x", "x"], ["y"]))
    with pytest.raises(StepError, match="invalid model"):
        write_onnx(model, source(), tmp_path / "model.onnx")


def test_free_axes_are_named(tmp_path: Path) -> None:
    model = model_of(helper.make_node("Relu", ["x"], ["y"]))
    result = write_onnx(model, source(), tmp_path / "model.onnx")
    assert result.signature == source().signature


@pytest.mark.parametrize(
    ("claimed", "message"),
    [
        (
            {"inputs": TensorSpec(name="x", dtype="int32", shape=("batch", 2))},
            "'x' is x: int",
        ),
        ({"inputs": TensorSpec(name="x", dtype="float32", shape=("batch", 3))}, "input 'x'"),
        ({"inputs": TensorSpec(name="x", dtype="float32", shape=(1, 2))}, "input 'x'"),
        ({"outputs": TensorSpec(name="y", dtype="float32", shape=("batch",))}, "output 'y'"),
    ],
    ids=["dtype", "fixed axis", "free instead of fixed", "rank"],
)
def test_a_result_unlike_its_source_is_refused(
    claimed: dict[str, TensorSpec], message: str, tmp_path: Path
) -> None:
    model = model_of(helper.make_node("Relu", ["x"], ["y"]))
    with pytest.raises(StepError, match=message):
        write_onnx(model, source(**claimed), tmp_path / "model.onnx")
