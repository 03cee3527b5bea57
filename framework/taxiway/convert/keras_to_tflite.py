"""Keras -> TFLite, by way of a SavedModel that is not kept."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from taxiway.convert.tflite import TFLiteConfig
from taxiway.model import Model
from taxiway.plugins import Context, Converter


class KerasToTFLite(Converter):
    """The TensorFlow Lite converter on the exported inference function."""

    Config = TFLiteConfig
    accepts = frozenset({"keras"})
    produces = "tflite"
    libraries = ("tensorflow", "keras", "tf-keras")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from taxiway.convert.keras_export import SIGNATURE, export
        from taxiway.convert.tflite_converter import write_tflite

        with TemporaryDirectory() as folder:
            exported = Path(folder) / "saved_model"
            export(model, exported, batch=options.batch)
            return write_tflite(model, exported, SIGNATURE, options, context)
