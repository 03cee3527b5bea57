"""Between the data's values and what a model stores: names, shapes, order of axes, dtypes, quantization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from taxiway.errors import StepError
from taxiway.model.inspect import UNKNOWN_RANK
from taxiway.model.layout import axes_to_data, axes_to_file
from taxiway.model.model import Signature, TensorSpec

Array = np.ndarray[Any, Any]
_KINDS = {"b": "booleans", "i": "integers", "u": "integers", "f": "real numbers"}


def bind(signature: Signature, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs under the model's own names and in its order of axes; where both sides have one
    input, its name is free. A value that is no tensor, such as a list, stays as it is.

    Raises StepError that names what is missing and what is not known.
    """
    expected = [spec.name for spec in signature.inputs]
    if len(expected) == 1 and len(inputs) == 1:
        inputs = {expected[0]: next(iter(inputs.values()))}
    if set(expected) != set(inputs):
        raise StepError(
            f"the model takes inputs {', '.join(expected)}; found {', '.join(inputs) or 'none'}",
            "name the arrays of the data as the model names its inputs",
        )
    return {spec.name: _placed(spec, inputs[spec.name]) for spec in signature.inputs}


def _placed(spec: TensorSpec, value: Any) -> Any:
    """The data with its channels where the file has them; samples may lack the batch axis."""
    if not spec.is_tensor:
        return value
    array = np.asarray(value)
    axes = axes_to_file(spec)
    if axes and array.ndim == len(axes):
        return array.transpose(axes)
    if axes and array.ndim == len(axes) + 1:
        return array.transpose((0, *(axis + 1 for axis in axes)))
    return array


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


def store(spec: TensorSpec, values: Any) -> Any:
    """Real values in the dtype that the model stores.

    A quantized input gets round(x / scale) + zero_point, halves to even, clipped to its dtype
    (TFLite quantization specification). Raises StepError where values of this kind do not fit.
    """
    if not spec.is_tensor:
        return values
    if spec.dtype == "str":
        if values.dtype.kind not in "USO":
            raise _mismatch(spec, values)
        return values.astype(object)
    dtype = numpy_dtype(spec.dtype)
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
    return np.asarray(values, dtype=dtype, order="C")


def restore(spec: TensorSpec, values: Any) -> Any:
    """What an output means: its channels where the data has them, scale * (stored - zero_point) as
    float32, or as it is."""
    if not spec.is_tensor:
        return values
    values = np.asarray(values)
    axes = axes_to_data(spec)
    if axes:
        lead = values.ndim - len(axes)
        values = values.transpose((*range(lead), *(axis + lead for axis in axes)))
    if spec.scale is None:
        return values
    centred: Array = values.astype(np.float32) - np.float32(spec.zero_point or 0)
    return centred * np.float32(spec.scale)


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The dtype of a TensorSpec, from ml_dtypes where NumPy has none of this name."""
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        extension: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return extension


def _mismatch(spec: TensorSpec, values: Array) -> StepError:
    wanted = (
        "text" if spec.dtype == "str" else _KINDS.get(numpy_dtype(spec.dtype).kind, "real numbers")
    )
    return StepError(f"input '{spec.name}' has dtype {values.dtype}, expected {wanted} for {spec}")
