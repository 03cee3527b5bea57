"""SavedModel -> TFLite."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from taxiway.convert.tflite import TFLiteConfig
from taxiway.model import Model
from taxiway.plugins import Context, Converter


class SavedModelToTFLite(Converter):
    """The TensorFlow Lite converter on the serving function."""

    Config = TFLiteConfig
    accepts = frozenset({"saved_model"})
    produces = "tflite"
    libraries = ("tensorflow",)

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from taxiway.convert.freed import proven
        from taxiway.convert.saved_model_to_saved_model import save_with_ends
        from taxiway.convert.tensorflow_ends import wanted_ends
        from taxiway.convert.tflite_converter import convert_signature
        from taxiway.model.load_saved_model import load_saved_model, signature_name

        if options.keeps_ends:
            name = signature_name(model.path)
            return convert_signature(model, model.path, name, options, context)
        wanted, serving = wanted_ends(model, options), load_saved_model(model.path)
        with TemporaryDirectory() as folder:
            changed = Path(folder) / "saved_model"
            save_with_ends(serving, model, wanted, changed)
            result = convert_signature(wanted, changed, serving.name, options, context)
        return proven(model, result, options)
