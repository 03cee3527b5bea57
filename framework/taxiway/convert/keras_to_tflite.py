"""Keras -> TFLite, by way of a SavedModel that is not kept."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from taxiway.convert.tflite import TFLiteConfig
from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.plugins import Context, Converter, Note


class KerasToTFLite(Converter):
    """The TensorFlow Lite converter on the exported inference function; where TFLite cannot take its loops,
    on one whose recurrent layers are written out."""

    Config = TFLiteConfig
    accepts = frozenset({"keras"})
    produces = "tflite"
    libraries = ("tensorflow", "keras", "tf-keras")

    def run(self, model: Model, options: Any, context: Context) -> Model:
        from taxiway.convert.freed import proven
        from taxiway.convert.tensorflow_ends import wanted_ends
        from taxiway.convert.tflite_converter import FreeBatchLoop

        wanted = wanted_ends(model, options)
        try:
            result = self._convert(model, wanted, options, context, None)
        except FreeBatchLoop as error:
            result = self._unrolled(model, wanted, options, context, error)
        return proven(model, result, options)

    def _convert(
        self, model: Model, wanted: Model, options: Any, context: Context, rewrite: Any
    ) -> Model:
        from taxiway.convert.keras_export import SIGNATURE, export
        from taxiway.convert.tflite_converter import convert_signature

        with TemporaryDirectory() as folder:
            exported = Path(folder) / "saved_model"
            export(model, exported, wanted, rewrite)
            return convert_signature(wanted, exported, SIGNATURE, options, context)

    def _unrolled(
        self, model: Model, wanted: Model, options: Any, context: Context, first: StepError
    ) -> Model:
        """Raises what stood in the way of the loop, and what stands in that of writing it out."""
        from taxiway.convert.repairs import apply_repairs

        notes: list[Note] = []

        def rewrite(network: Any) -> None:
            apply_repairs(network, "from Keras to TFLite", notes.append)

        try:
            result = self._convert(model, wanted, options, context, rewrite)
        except StepError as error:
            if isinstance(error, type(first)):
                raise first from error
            raise StepError(f"{first.message}; {error.message}", first.hint) from error
        for note in notes:
            context.note(note)
        return result
