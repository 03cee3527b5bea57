"""Weights of a TFLite file, in every way that the format stores them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from taxiway.errors import StepError
from taxiway.model.weights.in_tflite import tflite_weights

FLOAT = np.array([[0, 1.5, 0, -2], [3, 0, 0, 0]], np.float32)
INTEGER = np.array([[3, 5, 3, -128], [127, -1, -1, -1]], np.int8)


def _only(path: Path) -> Any:
    (weight,) = tflite_weights(path)
    return weight


def test_float(tmp_path: Path, files: Any) -> None:
    weight = _only(files.fully_connected(tmp_path / "m.tflite", FLOAT))
    assert (weight.name, weight.axes, weight.zeros(), weight.distinct()) == ("weight", (1, 0), 5, 4)
    np.testing.assert_array_equal(weight.values, FLOAT)


def test_float16_through_dequantize(tmp_path: Path, files: Any) -> None:
    path = files.fully_connected(
        tmp_path / "m.tflite", FLOAT.astype("float16"), before="DEQUANTIZE"
    )
    weight = _only(path)
    assert (weight.values.dtype, weight.axes, weight.zeros()) == (np.float16, (1, 0), 5)


def test_integers_with_a_zero_point_in_each_row(tmp_path: Path, files: Any) -> None:
    def quantized(tensor: Any, _: Any) -> None:
        tensor.quantization = files.quantization([0.5, 0.25], [3, -1])

    weight = _only(files.fully_connected(tmp_path / "m.tflite", INTEGER, tensor=quantized))
    assert (weight.zeros(), weight.distinct()) == (5, 5)


def test_integers_without_a_scale_are_no_weight(tmp_path: Path, files: Any) -> None:
    assert not [*tflite_weights(files.fully_connected(tmp_path / "m.tflite", INTEGER))]


def test_four_bits(tmp_path: Path, files: Any) -> None:
    values = np.array([[-8, 7, 0], [1, -1, 0]], np.int8)

    def packed(tensor: Any, _: Any) -> bytes:
        from ai_edge_litert import schema_py_generated as schema

        tensor.type, tensor.quantization = schema.TensorType.INT4, files.quantization([1.0], [0])
        flat = values.reshape(-1).view(np.uint8) & 15
        return bytes((flat[0::2] | (flat[1::2] << 4)).astype(np.uint8))

    weight = _only(files.fully_connected(tmp_path / "m.tflite", values, tensor=packed))
    np.testing.assert_array_equal(weight.values, values)


SPARSE = hnp.arrays(
    np.float32, (4, 6), elements=st.sampled_from([0.0, 0.0, 0.0, 1.0, -2.5]), fill=st.nothing()
)


@pytest.mark.parametrize("block", [None, (2, 3), (1, 2), (4, 1)], ids=str)
@settings(max_examples=25, deadline=None)
@given(values=SPARSE)
def test_sparse_is_read_as_dense(
    tmp_path_factory: pytest.TempPathFactory, files: Any, block: Any, values: Any
) -> None:
    if not values.any():
        values[1, 2] = 1

    def encoded(tensor: Any, weight: Any) -> bytes:
        tensor.sparsity, stored = files.sparse(weight, block)
        return bytes(stored.tobytes())

    path = tmp_path_factory.mktemp("sparse") / "m.tflite"
    weight = _only(files.fully_connected(path, values, before="DENSIFY", tensor=encoded))
    np.testing.assert_array_equal(weight.values, values)
    assert weight.axes == (1, 0)


def _wide(parameters: Any) -> None:
    parameters.dimMetadata[1].arrayIndices.values += 100


def _long(parameters: Any) -> None:
    parameters.dimMetadata[1].arraySegments.values[-1] += 50


def _huge(parameters: Any) -> None:
    parameters.dimMetadata[0].denseSize = 2**30


def _order(parameters: Any) -> None:
    parameters.traversalOrder = [0, 0]


@pytest.mark.parametrize("damage", [_wide, _long, _huge, _order])
def test_a_wrong_encoding_is_refused(tmp_path: Path, files: Any, damage: Any) -> None:
    def encoded(tensor: Any, weight: Any) -> bytes:
        tensor.sparsity, stored = files.sparse(weight)
        damage(tensor.sparsity)
        return bytes(stored.tobytes())

    path = files.fully_connected(tmp_path / "m.tflite", FLOAT, before="DENSIFY", tensor=encoded)
    with pytest.raises(StepError, match="tensor 'weight' cannot be read: its sparse encoding"):
        [*tflite_weights(path)]


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"\0" * 64)
    with pytest.raises(StepError, match="no readable TFLite model"):
        [*tflite_weights(tmp_path / "m.tflite")]
