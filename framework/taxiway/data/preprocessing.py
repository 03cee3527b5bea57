"""Preprocessing: from a stored sample to what the model takes, as data that a bundle can carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    import numpy as np

InputType = Literal["float32", "int64", "int32", "keep"]


class Preprocessing(msgspec.Struct, frozen=True):
    """model input = scale * raw + offset in float32; integers and `keep` are passed unchanged."""

    scale: float
    offset: float
    dtype: InputType

    def __post_init__(self) -> None:
        if self.dtype != "float32" and (self.scale, self.offset) != (1, 0):
            raise ValueError(f"scale and offset need dtype float32; dtype is {self.dtype}")

    def apply(self, raw: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """[n, ...] of any number type to the model's input, in native byte order."""
        import numpy as np

        if self.dtype == "keep":
            return raw.astype(raw.dtype.newbyteorder("="))
        if self.dtype != "float32":
            return raw.astype(self.dtype)
        return raw.astype(np.float32) * np.float32(self.scale) + np.float32(self.offset)
