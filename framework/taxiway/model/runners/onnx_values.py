"""ONNX Runtime's values for dtypes that NumPy lacks: bfloat16, the float8 kinds, 2 and 4 bits.

`InferenceSession.run` refuses arrays of the package ml_dtypes; an OrtValue takes their bytes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from taxiway.model.model import TensorSpec

Array = np.ndarray[Any, Any]
_PER_BYTE = {"int4": 2, "uint4": 2, "float4_e2m1fn": 2, "int2": 4, "uint2": 4}
"""Elements in one byte, the first in its lowest bits (onnx.proto, `TensorProto.raw_data`)."""


def needed(specs: Iterable[TensorSpec]) -> bool:
    """Whether a tensor has a dtype that NumPy itself does not know."""
    return any(spec.is_tensor and spec.dtype != "str" and _extension(spec.dtype) for spec in specs)


def run(session: Any, outputs: Sequence[str], feeds: Mapping[str, Any]) -> list[Array]:
    """As `session.run`, with arrays of ml_dtypes on both sides."""
    values = {name: _value(array) for name, array in feeds.items()}
    return [_array(value) for value in session.run_with_ort_values(outputs, values)]


def _extension(dtype: str) -> bool:
    try:
        np.dtype(dtype)
    except TypeError:
        return True
    return False


def _value(array: Any) -> Any:
    import onnxruntime

    if not _extension(array.dtype.name) or array.dtype == object:
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)
    import onnx

    code = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    stored = array.view(np.uint16 if array.dtype.itemsize == 2 else np.uint8)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(stored, code)


def _array(value: Any) -> Array:
    import onnx

    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.element_type())
    if not _extension(dtype.name) or dtype == object:
        array: Array = value.numpy()
        return array
    shape = tuple(value.shape())
    stored = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes()) if all(shape) else b""
    if dtype.name not in _PER_BYTE:
        return np.frombuffer(stored, dtype).reshape(shape)
    raise NotImplementedError(dtype.name)
