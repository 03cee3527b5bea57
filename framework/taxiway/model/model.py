"""Model: one immutable value for a model on disk: its format, its file or folder, its signature."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from taxiway.model.promises import Promise

Format = str
FORMATS: dict[Format, str] = {
    "keras": "Keras model (.keras, .h5)",
    "saved_model": "TensorFlow SavedModel (folder)",
    "onnx": "ONNX (.onnx)",
    "tflite": "TFLite / LiteRT (.tflite)",
    "ort": "ONNX Runtime's own format (.ort)",
    "torch": "torch.export program (.pt2)",
    "sklearn": "scikit-learn estimator in skops format (.skops)",
}


RESULTS_ONLY = frozenset({"ort"})
"""Formats that a pass makes and no source has."""

Layout = Literal["nchw", "nhwc"]
"""Where the channels of an image (or a volume, or a sequence of them) are: second or last."""


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output.

    dtype: numpy name, such as `float32`, `int8`, `str`; for an ONNX value that is no tensor its type,
    such as `sequence(float32)` or `optional(sequence(int64))`.
    shape: one entry per axis; an int where it is fixed, a name (such as `batch`) where it is not.
    scale, zero_point: real = scale * (stored - zero_point), for an affine-quantized tensor
    (TFLite quantization specification); None for a plain one.
    layout: set where a conversion moved the channels: this is the order that the file has, and the
    recipe's data has the other one. Runners take and give the data's order. A file does not say it.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    scale: float | None = None
    zero_point: int | None = None
    layout: Layout | None = None

    @property
    def is_tensor(self) -> bool:
        """Whether the value is one array, no sequence, optional or sparse tensor."""
        return "(" not in self.dtype

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
    """A model on disk. `path` is a file, or a folder for a SavedModel.

    trusted: SHA-256 of a Keras file whose stored code the recipe lets run; None for any other model.
    promises: what passes promised of its weights; held against the file after every step.
    """

    format: Format
    path: Path
    signature: Signature
    trusted: str | None = None
    promises: tuple[Promise, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The model's files, sorted by name; those that an ONNX file names included."""
        if self.path.is_dir():
            return tuple(sorted(file for file in self.path.rglob("*") if file.is_file()))
        if self.format == "onnx":
            from taxiway.safety.onnx_external import external_names

            return (self.path, *(self.path.parent / n for n in sorted(external_names(self.path))))
        return (self.path,)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.stat().st_size for file in self.files)

    def to_dict(self, root: Path) -> dict[str, Any]:
        """JSON form with the path relative to `root`, so that a stored step can be moved."""
        return {
            "format": self.format,
            "path": self.path.relative_to(root).as_posix(),
            "signature": msgspec.to_builtins(self.signature),
            **({"trusted": self.trusted} if self.trusted else {}),
            **({"promises": msgspec.to_builtins(self.promises)} if self.promises else {}),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], root: Path) -> Model:
        return cls(
            format=data["format"],
            path=root / data["path"],
            signature=msgspec.convert(data["signature"], Signature),
            trusted=data.get("trusted"),
            promises=msgspec.convert(data.get("promises", ()), tuple[Promise, ...]),
        )
