"""The target ONNX."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from taxiway.convert.ends import EndsConfig
from taxiway.plugins import Target

MIN_OPSET, MAX_OPSET = 7, 28
"""The oldest that ONNX Runtime supports and the newest of the installed onnx; a test holds them."""
DEFAULT_OPSET = 18
"""What a converter from another format writes unless it is told another."""


class OnnxConfig(EndsConfig, frozen=True):
    """Options of the conversion to ONNX."""

    opset: Annotated[
        Annotated[int, Meta(ge=MIN_OPSET, le=MAX_OPSET)] | None,
        Meta(
            description="ONNX operator set version. null: 18 from other formats, the model's own "
            "from ONNX. tf2onnx writes 13 to 18; others are reached by ONNX's version converter."
        ),
    ] = None


class ToOnnx(Target):
    """Writes a .onnx file, checked by onnx.checker and loaded once in ONNX Runtime.

    A Keras model comes here through a SavedModel.
    """

    Config = OnnxConfig
    produces = "onnx"
