"""SavedModel -> SavedModel: the serving function with other inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taxiway.convert.saved_model import SavedModelConfig
from taxiway.model import Model
from taxiway.plugins import Context, Converter


class SavedModelToSavedModel(Converter):
    """The serving function with the ends that the options want; without options a copy."""

    Config = SavedModelConfig
    accepts = frozenset({"saved_model"})
    produces = "saved_model"
    libraries = ("tensorflow",)

    def run(self, model: Model, options: Any, context: Context) -> Model:
        import shutil

        from taxiway.convert.canonical import make_canonical
        from taxiway.convert.freed import proven
        from taxiway.convert.result import converted
        from taxiway.convert.tensorflow_ends import wanted_ends
        from taxiway.model.load_saved_model import load_saved_model

        path = context.workdir / "saved_model"
        if options.keeps_ends:
            shutil.copytree(model.path, path)
            return converted(model, path, "saved_model")
        wanted = wanted_ends(model, options)
        save_with_ends(load_saved_model(model.path), model, wanted, path)
        make_canonical(path)
        return proven(model, converted(wanted, path, "saved_model"), options)


def save_with_ends(serving: Any, model: Model, wanted: Model, path: Path) -> None:
    """Save a ServingFunction of `model` at `path` with the inputs and outputs of `wanted`."""
    import tensorflow as tf

    from taxiway.convert.tensorflow_ends import with_ends

    def serve(tensors: Mapping[str, Any]) -> Any:
        return serving.function(**tensors)

    signature = with_ends(serve, model, wanted)
    tf.saved_model.save(serving.module, str(path), signatures={serving.name: signature})
