"""Conversion to ONNX with tf2onnx."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from taxiway.plugins import Config, Convert


class OnnxConfig(Config, frozen=True):
    """Options of the conversion to ONNX."""

    opset: Annotated[
        int,
        Meta(ge=13, le=18, description="ONNX operator set version; tf2onnx writes 13 to 18."),
    ] = 18


class ToOnnx(Convert):
    """Writes a .onnx file, checked by onnx.checker and loaded once in ONNX Runtime.

    A Keras model comes here through a SavedModel.
    """

    Config = OnnxConfig
    produces = "onnx"
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "tf2onnx", "onnx")
    implementations = {
        "saved_model": "taxiway.convert.onnx_from_saved_model:SavedModelToOnnx",
        "tflite": "taxiway.convert.onnx_from_tflite:TFLiteToOnnx",
    }
