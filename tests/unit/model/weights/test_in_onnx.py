"""Weights of an ONNX file: which constants are weights, what stands for zero, which axes they have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from taxiway.errors import StepError
from taxiway.model import Model, Signature
from taxiway.model.weights import parameters, sparsity
from taxiway.model.weights.in_onnx import onnx_weights

FLOAT = np.array([[0, 1.5, 0, -2], [3, 0, 0, 0]], np.float32)


def _saved(path: Path, nodes: Sequence[Any], constants: dict[str, Any], **more: Any) -> Path:
    tensors = [
        value
        if isinstance(value, TensorProto)
        else numpy_helper.from_array(np.asarray(value), name)
        for name, value in constants.items()
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    domains = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=domains), path, **more)
    return path


def _node(kind: str, *inputs: str, output: str = "y", **more: Any) -> Any:
    return helper.make_node(kind, list(inputs), [output], **more)


AXES = {
    "MatMul": (_node("MatMul", "x", "w"), (2, 4), (0, 1)),
    "MatMul-of-the-left": (_node("MatMul", "w", "x"), (2, 4), (1, 0)),
    "Gemm": (_node("Gemm", "x", "w"), (2, 4), (0, 1)),
    "Gemm-transposed": (_node("Gemm", "x", "w", transB=1), (2, 4), (1, 0)),
    "Conv": (_node("Conv", "x", "w"), (6, 3, 2, 2), (1, 0)),
    "ConvTranspose": (_node("ConvTranspose", "x", "w"), (3, 6, 2, 2), (0, 1)),
    "LSTM": (_node("LSTM", "x", "w", hidden_size=2), (1, 8, 3), (2, 1)),
    "Mul": (_node("Mul", "x", "w"), (2, 4), None),
}


@pytest.mark.parametrize(("node", "shape", "axes"), AXES.values(), ids=AXES)
def test_axes(tmp_path: Path, node: Any, shape: tuple[int, ...], axes: Any) -> None:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    (weight,) = onnx_weights(_saved(tmp_path / "m.onnx", [node], {"w": values}))
    found = weight.axes and tuple(axis % values.ndim for axis in weight.axes)
    assert (weight.name, found) == ("w", axes)


def test_axes_through_transpose(tmp_path: Path) -> None:
    nodes = [_node("Transpose", "w", output="t", perm=[1, 0]), _node("MatMul", "x", "t")]
    (weight,) = onnx_weights(_saved(tmp_path / "m.onnx", nodes, {"w": FLOAT}))
    assert weight.axes == (1, 0)


def test_what_is_no_weight(tmp_path: Path) -> None:
    """Shapes, scales, zero points and single numbers; a weight that two nodes read comes once."""
    nodes = [
        _node("MatMul", "x", "w", output="a"),
        _node("MatMul", "a", "w", output="b"),
        _node("Reshape", "b", "shape", output="c"),
        _node("Mul", "c", "one", output="d"),
        _node("QuantizeLinear", "d", "scales", "zeros", output="e", axis=0),
        _node("DequantizeLinear", "e", "scales", "zeros", axis=0),
    ]
    constants = {
        "w": np.zeros((2, 2), np.float32),
        "shape": np.array([2, 2], np.int64),
        "one": np.float32(2),
        "scales": np.ones(2, np.float32),
        "zeros": np.zeros(2, np.int8),
        "unused": np.ones(5, np.float32),
    }
    assert [w.name for w in onnx_weights(_saved(tmp_path / "m.onnx", nodes, constants))] == ["w"]


@pytest.mark.parametrize(
    ("zero", "more", "zeros"),
    [
        (np.int8(3), {}, 2),
        (np.array([3, -1], np.int8), {"axis": 0}, 4),
        (np.array([[3, 7], [5, 5]], np.int8), {"axis": 1, "block_size": 2}, 3),
    ],
    ids=["tensor", "channel", "block"],
)
def test_zero_of_a_dequantized_weight(tmp_path: Path, zero: Any, more: Any, zeros: int) -> None:
    values = np.array([[3, 0, 7, 3], [-1, 5, 0, -1]], np.int8)
    nodes = [
        _node("DequantizeLinear", "w", "s", "z", output="f", **more),
        _node("MatMul", "x", "f"),
    ]
    scale = np.ones(np.shape(zero), np.float32)
    path = _saved(tmp_path / "m.onnx", nodes, {"w": values, "s": scale, "z": zero})
    (weight,) = onnx_weights(path)
    assert (weight.zeros(), weight.axes) == (zeros, (0, 1))


def test_four_bits(tmp_path: Path) -> None:
    stored = helper.make_tensor("w", TensorProto.INT4, (2, 4), [-8, 7, 0, 0, 1, 2, 3, 0])
    nodes = [_node("DequantizeLinear", "w", "s", output="f"), _node("MatMul", "x", "f")]
    (weight,) = onnx_weights(_saved(tmp_path / "m.onnx", nodes, {"w": stored, "s": np.float32(1)}))
    assert (weight.values.dtype, weight.values.min(), weight.zeros()) == (np.int8, -8, 3)


def test_blocks_of_four_bits(tmp_path: Path) -> None:
    """MatMulNBits without zero points: 8 stands for 0; what fills up the last block is no weight."""
    packed = np.full((2, 2, 8), 0x88, np.uint8)
    packed[0, 0, 0] = 0x18
    node = _node(
        "MatMulNBits", "x", "w", "s", domain="com.microsoft", K=20, N=2, bits=4, block_size=16
    )
    constants = {"w": packed, "s": np.ones((2, 2), np.float32)}
    (weight,) = onnx_weights(_saved(tmp_path / "m.onnx", [node], constants))
    assert (weight.values.shape, weight.zeros(), weight.axes) == ((2, 20), 39, (1, 0))


def test_constant_node_subgraph_and_sparse_tensor(tmp_path: Path) -> None:
    inner = helper.make_graph(
        [_node("MatMul", "x", "v", output="z")],
        "inner",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(FLOAT, "v")],
    )
    values = helper.make_tensor("", TensorProto.FLOAT, [2], [1.0, 2.0])
    indices = helper.make_tensor("", TensorProto.INT64, [2], [1, 5])
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(FLOAT)),
        helper.make_node(
            "Constant", [], ["s"], sparse_value=helper.make_sparse_tensor(values, indices, [4, 2])
        ),
        _node("MatMul", "x", "c", output="a"),
        _node("MatMul", "a", "s", output="b"),
        _node("If", "b", then_branch=inner, else_branch=inner),
    ]
    found = {w.name: w.zeros() for w in onnx_weights(_saved(tmp_path / "m.onnx", nodes, {}))}
    assert found == {"c": 5, "s": 6, "v": 5}


def test_external_data(tmp_path: Path) -> None:
    path = _saved(
        tmp_path / "m.onnx",
        [_node("MatMul", "x", "w")],
        {"w": FLOAT},
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    (weight,) = onnx_weights(path)
    np.testing.assert_array_equal(weight.values, FLOAT)
    (tmp_path / "w.bin").write_bytes(b"")
    with pytest.raises(StepError, match="weight 'w' cannot be read"):
        [*onnx_weights(path)]


def test_counts(tmp_path: Path) -> None:
    nodes = [_node("Gemm", "x", "w", "b", transB=1)]
    path = _saved(tmp_path / "m.onnx", nodes, {"w": FLOAT, "b": np.zeros(2, np.float32)})
    model = Model(format="onnx", path=path, signature=Signature(inputs=(), outputs=()))
    assert (parameters(model), sparsity(model)) == (10, 5 / 8)


CAST = {
    "symmetric": (None, 0),
    "asymmetric": (np.full((1, 4), 3, np.float32), 3),
}


@pytest.mark.parametrize(("zero", "stands"), CAST.values(), ids=CAST)
def test_integers_that_cast_and_mul_bring_back(tmp_path: Path, zero: Any, stands: int) -> None:
    codes = np.array([[0, 5, 3, -2], [3, 0, 3, 3]], np.int8)
    constants = {"w": codes, "scale": np.full((1, 4), 0.5, np.float32)}
    nodes = [_node("Cast", "w", output="real", to=TensorProto.FLOAT)]
    if zero is not None:
        constants["zero"] = zero
        nodes.append(_node("Sub", "real", "zero", output="moved"))
    nodes += [
        _node("Mul", nodes[-1].output[0], "scale", output="weight"),
        _node("MatMul", "x", "weight"),
    ]
    (weight,) = onnx_weights(_saved(tmp_path / "m.onnx", nodes, constants))
    assert (weight.name, weight.axes) == ("w", (-2 % 2, -1 % 2))
    assert weight.zeros() == np.count_nonzero(codes == stands)


def test_a_table_of_integers(tmp_path: Path) -> None:
    constants = {
        "w": np.arange(8, dtype=np.int8).reshape(4, 2),
        "scale": np.ones((4, 1), np.float32),
    }
    nodes = [
        _node("Gather", "w", "x", output="rows"),
        _node("Gather", "scale", "x", output="scales"),
        _node("Cast", "rows", output="real", to=TensorProto.FLOAT),
        _node("Mul", "real", "scales"),
    ]
    found = {w.name: w.zeros() for w in onnx_weights(_saved(tmp_path / "m.onnx", nodes, constants))}
    assert found["w"] == 1


def test_integers_that_stay_integers_are_no_weight(tmp_path: Path) -> None:
    nodes = [_node("Cast", "w", output="ids", to=TensorProto.INT64), _node("Gather", "x", "ids")]
    constants = {"w": np.zeros((2, 2), np.int8)}
    assert not list(onnx_weights(_saved(tmp_path / "m.onnx", nodes, constants)))
