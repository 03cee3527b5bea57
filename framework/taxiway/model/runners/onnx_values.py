"""ONNX Runtime's values for dtypes that NumPy lacks: bfloat16, the float8 kinds, 2 and 4 bits.

`InferenceSession.run` refuses arrays of the package ml_dtypes; an OrtValue takes their bytes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from taxiway.model.model import TensorSpec
from taxiway.model.runners.binding import numpy_dtype

Array = np.ndarray[Any, Any]
_PER_BYTE = {"int4": 2, "uint4": 2, "float4_e2m1fn": 2, "int2": 4, "uint2": 4}
"""Elements in one byte, the first in its lowest bits (onnx.proto, `TensorProto.raw_data`)."""


def needed(specs: Iterable[TensorSpec]) -> bool:
    """Whether a tensor has a dtype that NumPy itself does not know."""
    return any(
        spec.is_tensor and spec.dtype != "str" and extended(numpy_dtype(spec.dtype))
        for spec in specs
    )


def run(session: Any, outputs: Sequence[str], feeds: Mapping[str, Any]) -> list[Array]:
    """As `session.run`, with arrays of ml_dtypes on both sides."""
    values = {name: _value(array) for name, array in feeds.items()}
    return [_array(value) for value in session.run_with_ort_values(outputs, values)]


def extended(dtype: np.dtype[Any]) -> bool:
    """Whether ml_dtypes brought it: NumPy marks what was registered with it by a 2."""
    return dtype.isbuiltin == 2


def _value(array: Any) -> Any:
    import onnx
    import onnxruntime

    if not extended(array.dtype):
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)
    code = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(array.shape), code)
    content = _packed(array)
    if content:
        ctypes.memmove(value.data_ptr(), content, len(content))
    return value


def _array(value: Any) -> Any:
    import onnx

    if not value.is_tensor():
        return value.numpy() if value.has_value() else None
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.element_type())
    if not extended(dtype):
        return value.numpy()
    shape = tuple(value.shape())
    size = value.tensor_size_in_bytes() if all(shape) else 0
    return _unpacked(ctypes.string_at(value.data_ptr(), size) if size else b"", dtype, shape)


def _packed(array: Array) -> bytes:
    per_byte = _PER_BYTE.get(array.dtype.name)
    if per_byte is None:
        return array.tobytes()
    bits = 8 // per_byte
    flat = array.view(np.uint8).ravel() & (2**bits - 1)
    flat = np.pad(flat, (0, -len(flat) % per_byte)).reshape(-1, per_byte)
    shifted = flat << np.arange(0, 8, bits, dtype=np.uint8)
    packed: Array = np.bitwise_or.reduce(shifted, axis=1)
    return packed.astype(np.uint8).tobytes()


def _unpacked(content: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    per_byte = _PER_BYTE.get(dtype.name)
    if per_byte is None:
        array: Array = np.frombuffer(content, dtype).reshape(shape)
        return array
    bits, count = 8 // per_byte, int(np.prod(shape))
    packed = np.frombuffer(content, np.uint8)[:, None]
    codes = (packed >> np.arange(0, 8, bits, dtype=np.uint8)) & (2**bits - 1)
    codes = codes.ravel()[:count].astype(np.uint8)
    if dtype.name.startswith("int"):
        # Two's complement: the highest bit counts negative.
        codes = np.where(codes >> (bits - 1), codes | (0x100 - 2**bits), codes).astype(np.uint8)
    stored = codes.view(np.int8 if dtype.name.startswith("int") else np.uint8)
    unpacked: Array = stored.astype(dtype) if "int" in dtype.name else stored.view(dtype)
    return unpacked.reshape(shape)
