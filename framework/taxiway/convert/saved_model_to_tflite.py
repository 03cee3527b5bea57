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
        from taxiway.convert.tflite_converter import write_tflite
        from taxiway.model.load_saved_model import load_saved_model

        serving = load_saved_model(model.path)
        if options.batch is None:
            return write_tflite(model, model.path, serving.name, options, context)
        with TemporaryDirectory() as folder:
            fixed = Path(folder) / "saved_model"
            _fix_batch(serving, options.batch, fixed)
            return write_tflite(model, fixed, serving.name, options, context)


def _fix_batch(serving: Any, batch: int, path: Path) -> None:
    """Save the serving function at `path` with a free first axis of the inputs fixed."""
    import tensorflow as tf

    from taxiway.convert.keras_export import with_batch

    function = serving.function
    specs = {
        name: tf.TensorSpec(with_batch(spec.shape, batch), spec.dtype, name)
        for name, spec in serving.inputs.items()
    }
    serve = tf.function(lambda **tensors: function(**tensors), autograph=False)
    signature = serve.get_concrete_function(**specs)
    tf.saved_model.save(serving.module, str(path), signatures={serving.name: signature})
