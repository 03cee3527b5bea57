"""Tensors that NumPy does not know, into ONNX Runtime and back."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from taxiway.model.inspect import describe
from taxiway.model.runners import open_runner
from taxiway.model.runners.onnx_values import _packed, _unpacked

WHOLE = ["int4", "uint4", "int2", "uint2"]


@given(st.sampled_from(WHOLE), st.lists(st.integers(-8, 15), max_size=9))
def test_packing_is_undone(name: str, values: list[int]) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name))
    bits = int(name[-1])
    low = -(2 ** (bits - 1)) if name.startswith("int") else 0
    array = np.array([low + value % 2**bits for value in values], np.int8).astype(dtype)
    packed = _packed(array)
    assert len(packed) == -(-len(values) * bits // 8)
    again = _unpacked(packed, dtype, array.shape)
    assert again.dtype == dtype
    assert again.astype(np.int8).tolist() == array.astype(np.int8).tolist()


def test_packing_is_that_of_onnx() -> None:
    array = np.array([1, -2, 7, -8, 3], np.int8).astype(ml_dtypes.int4)
    assert _packed(array) == onnx.numpy_helper.from_array(array).raw_data


@pytest.mark.parametrize(
    "name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4", "float16"]
)
def test_a_model_takes_and_gives_the_dtype(name: str, tmp_path: Path) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    code = onnx.helper.np_dtype_to_tensor_dtype(dtype)
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["f"], ["y"], to=code),
    ]
    ends = [
        helper.make_tensor_value_info(*value)
        for value in (
            ("x", code, ["n", 3]),
            ("f", TensorProto.FLOAT, ["n", 3]),
            ("y", code, ["n", 3]),
        )
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 21)]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    x = np.array([[1, 0, 2], [3, 1, 1]], np.float32).astype(dtype)
    outputs = open_runner(describe(path, "onnx")).predict({"x": x})
    assert outputs["y"].dtype == dtype
    assert outputs["f"].tolist() == outputs["y"].astype("f4").tolist() == x.astype("f4").tolist()
