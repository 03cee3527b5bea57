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
        from taxiway.convert.freed import proven
        from taxiway.convert.keras_export import SIGNATURE, export
        from taxiway.convert.tensorflow_ends import wanted_ends
        from taxiway.convert.tflite_converter import convert_signature

        wanted = wanted_ends(model, options)
        with TemporaryDirectory() as folder:
            exported = Path(folder) / "saved_model"
            export(model, exported, wanted)
            result = convert_signature(wanted, exported, SIGNATURE, options, context)
        return proven(model, result, options)
