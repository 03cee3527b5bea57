"""Model: one immutable value for a model on disk: its format, its file or folder, its signature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

Format = str
FORMATS: dict[Format, str] = {
    "keras": "Keras model (.keras, .h5)",
    "saved_model": "TensorFlow SavedModel (folder)",
    "onnx": "ONNX (.onnx)",
    "tflite": "TFLite / LiteRT (.tflite)",
    "torch": "torch.export program (.pt2)",
    "sklearn": "scikit-learn estimator in skops format (.skops)",
}


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output.

    dtype: numpy name, such as `float32`, `int8`, `str`.
    shape: one entry per axis; an int where it is fixed, a name (such as `batch`) where it is not.
    scale, zero_point: real = scale * (stored - zero_point), for an affine-quantized tensor
    (TFLite quantization specification); None for a plain one.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    scale: float | None = None
    zero_point: int | None = None

    @property
    def quantized(self) -> bool:
        return self.scale is not None

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What a model takes and gives, in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model on disk. `path` is a file, or a folder for a SavedModel."""

    format: Format
    path: Path
    signature: Signature

    @property
    def size(self) -> int:
        """Bytes of all files."""
        if self.path.is_file():
            return self.path.stat().st_size
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    def to_dict(self, root: Path) -> dict[str, Any]:
        """JSON form with the path relative to `root`, so that a stored step can be moved."""
        return {
            "format": self.format,
            "path": self.path.relative_to(root).as_posix(),
            "signature": msgspec.to_builtins(self.signature),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], root: Path) -> Model:
        return cls(
            format=data["format"],
            path=root / data["path"],
            signature=msgspec.convert(data["signature"], Signature),
        )
