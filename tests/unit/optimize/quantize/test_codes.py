"""Weights as integers: how near they come, and what they keep exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import helper, numpy_helper

from taxiway.optimize.quantize.codes import Codes, in_blocks, per_channel, per_tensor

Array = np.ndarray[Any, Any]
WEIGHTS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9),
    elements=st.floats(-1e3, 1e3, width=32, allow_subnormal=False),
)
BITS, SYMMETRIC = st.sampled_from([8, 4]), st.booleans()


def forms(weight: Array, bits: int, symmetric: bool) -> list[Codes]:
    return [
        per_tensor(weight, bits, symmetric),
        *(per_channel(weight, bits, axis, symmetric) for axis in range(weight.ndim)),
        *(in_blocks(weight, bits, axis, 4, symmetric) for axis in range(weight.ndim)),
    ]


def steps(codes: Codes) -> Array:
    """The scale of every element."""
    ones = Codes(np.ones(codes.codes.shape, np.int8), codes.scale, None, 8, codes.axis, codes.block)
    return ones.values()


@given(WEIGHTS, SYMMETRIC)
def test_eight_bits_come_within_half_a_step(weight: Array, symmetric: bool) -> None:
    for codes in forms(weight, 8, symmetric):
        error = np.abs(codes.values() - weight)
        assert (error <= steps(codes) * 0.5001 + 1e-30).all()


@given(WEIGHTS, BITS, SYMMETRIC)
def test_zeros_stay_zeros(weight: Array, bits: int, symmetric: bool) -> None:
    weight[np.abs(weight) < 300] = 0
    for codes in forms(weight, bits, symmetric):
        assert (codes.values()[weight == 0] == 0).all()


@given(WEIGHTS, BITS, SYMMETRIC)
def test_codes_have_their_bits_and_shapes(weight: Array, bits: int, symmetric: bool) -> None:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if symmetric else (0, 2**bits - 1)
    for codes in forms(weight, bits, symmetric):
        assert codes.codes.shape == codes.values().shape == weight.shape
        assert low <= codes.codes.min() and codes.codes.max() <= high
        assert (codes.zero is None) == symmetric
        assert np.isfinite(codes.scale).all() and (codes.scale > 0).all()
        if codes.block and codes.axis is not None:
            assert codes.scale.shape[codes.axis] == -(-weight.shape[codes.axis] // codes.block)


def test_four_bits_err_less_than_plain_rounding() -> None:
    weight = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    largest = np.abs(weight).max(0)
    plain = np.rint(weight / largest * 7) * largest / 7
    ours = per_channel(weight, 4, 1, symmetric=True).values()
    assert ((ours - weight) ** 2).sum() < 0.9 * ((plain - weight) ** 2).sum()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("block", [None, 16])
def test_onnxruntime_reads_the_same_values(bits: int, symmetric: bool, block: int | None) -> None:
    import ml_dtypes
    import onnxruntime

    weight = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    codes = (
        in_blocks(weight, bits, 0, block, symmetric)
        if block
        else per_channel(weight, bits, 1, symmetric)
    )
    kinds = {(4, True): ml_dtypes.int4, (4, False): ml_dtypes.uint4}
    dtype = kinds.get((bits, symmetric), codes.codes.dtype)
    parts = {"q": codes.codes.astype(dtype), "s": codes.scale}
    if codes.zero is not None:
        parts["z"] = codes.zero.astype(dtype)
    more = {"block_size": block} if block else {}
    node = helper.make_node("DequantizeLinear", list(parts), ["y"], axis=codes.axis, **more)
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, weight.shape)
    tensors = [numpy_helper.from_array(values, name) for name, values in parts.items()]
    graph = helper.make_graph([node], "g", [], [y], tensors)
    opset = [helper.make_opsetid("", 21)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    (found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {})
    assert np.array_equal(found, codes.values())
