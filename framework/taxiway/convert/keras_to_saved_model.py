"""Keras -> SavedModel: one inference signature, `serving_default`, with the model's own names."""

from __future__ import annotations

from typing import Any

from taxiway.convert.saved_model import SavedModelConfig
from taxiway.model import Model
from taxiway.plugins import Context, Converter


class KerasToSavedModel(Converter):
    """Writes the inference function of a Keras model (Keras 3 or tf_keras) as a SavedModel.

    The same model gives the same bytes: see `taxiway.convert.keras_export`.
    """

    Config = SavedModelConfig
    accepts = frozenset({"keras"})
    produces = "saved_model"
    libraries = ("tensorflow", "keras", "tf-keras")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from taxiway.convert.freed import proven
        from taxiway.convert.keras_export import export
        from taxiway.convert.result import converted
        from taxiway.convert.tensorflow_ends import wanted_ends

        path, wanted = context.workdir / "saved_model", wanted_ends(model, options)
        export(model, path, wanted)
        return proven(model, converted(wanted, path, "saved_model"), options)
