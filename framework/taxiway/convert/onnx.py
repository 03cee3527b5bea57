"""The target ONNX."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from taxiway.plugins import Config, Target


class OnnxConfig(Config, frozen=True):
    """Options of the conversion to ONNX."""

    opset: Annotated[
        int,
        Meta(ge=13, le=18, description="ONNX operator set version; tf2onnx writes 13 to 18."),
    ] = 18


class ToOnnx(Target):
    """Writes a .onnx file, checked by onnx.checker and loaded once in ONNX Runtime.

    A Keras model comes here through a SavedModel.
    """

    Config = OnnxConfig
    produces = "onnx"
