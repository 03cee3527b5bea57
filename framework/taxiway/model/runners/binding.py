"""Between real values and what a model stores: names, shapes, dtypes, quantization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model.inspect import UNKNOWN_RANK
from taxiway.model.model import Signature, TensorSpec

Array = np.ndarray[Any, Any]
_KINDS = {"b": "booleans", "i": "integers", "u": "integers", "f": "real numbers"}


def bind(signature: Signature, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The inputs under the model's own names; where both sides have one, its name is free.

    Raises StepError that names what is missing and what is not known.
    """
    expected = [spec.name for spec in signature.inputs]
    if len(expected) == 1 and len(inputs) == 1:
        return {expected[0]: np.asarray(next(iter(inputs.values())))}
    if set(expected) != set(inputs):
        raise StepError(
            f"the model takes inputs {', '.join(expected)}; found {', '.join(inputs) or 'none'}",
            "name the arrays of the data as the model names its inputs",
        )
    return {name: np.asarray(inputs[name]) for name in expected}


def check_shape(spec: TensorSpec, shape: tuple[int, ...], skip: int) -> None:
    """Raise StepError unless `shape` fits the spec; the first `skip` axes may be of any size."""
    if spec.shape == UNKNOWN_RANK:
        return
    fits = len(shape) == len(spec.shape) and all(
        isinstance(want, str) or want == have
        for want, have in zip(spec.shape[skip:], shape[skip:], strict=True)
    )
    if not fits:
        raise StepError(f"input '{spec.name}' has shape {list(shape)}, expected {spec}")


def store(spec: TensorSpec, values: Array) -> Array:
    """Real values in the dtype that the model stores.

    A quantized input gets round(x / scale) + zero_point, halves to even, clipped to its dtype
    (TFLite quantization specification). Raises StepError where values of this kind do not fit.
    """
    if spec.dtype == "str":
        if values.dtype.kind not in "USO":
            raise _mismatch(spec, values)
        return values.astype(object)
    dtype = _dtype(spec)
    kind = "f" if spec.quantized or dtype.kind not in "biuc" else dtype.kind
    accepted = {"f": "fiub", "c": "cfiub", "i": "iub", "u": "iub", "b": "b"}[kind]
    if values.dtype.kind not in accepted and values.dtype != dtype:
        raise _mismatch(spec, values)
    if spec.scale is not None:
        limits = np.iinfo(dtype)
        real = values.astype(np.float32) / np.float32(spec.scale)
        stored: Array = np.rint(real) + (spec.zero_point or 0)
        return stored.clip(limits.min, limits.max).astype(dtype)
    if kind in "iu" and values.size and values.dtype != dtype:
        limits = np.iinfo(dtype)
        if int(values.min()) < limits.min or int(values.max()) > limits.max:
            raise StepError(
                f"input '{spec.name}' has values from {values.min()} to {values.max()}, "
                f"which do not fit {dtype}"
            )
    return np.ascontiguousarray(values, dtype=dtype)


def restore(spec: TensorSpec, values: Array) -> Array:
    """Real values of an output: scale * (stored - zero_point) as float32, or as it is."""
    if spec.scale is None:
        return values
    centred: Array = values.astype(np.float32) - np.float32(spec.zero_point or 0)
    return centred * np.float32(spec.scale)


def _dtype(spec: TensorSpec) -> np.dtype[Any]:
    try:
        return np.dtype(spec.dtype)
    except TypeError:
        import ml_dtypes

        extension: np.dtype[Any] = np.dtype(getattr(ml_dtypes, spec.dtype))
        return extension


def _mismatch(spec: TensorSpec, values: Array) -> StepError:
    wanted = "text" if spec.dtype == "str" else _KINDS.get(_dtype(spec).kind, "real numbers")
    return StepError(f"input '{spec.name}' has dtype {values.dtype}, expected {wanted} for {spec}")
