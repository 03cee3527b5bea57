"""A TensorFlow SavedModel folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from taxiway import plugins
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.load_saved_model import DEFAULTS, load_saved_model
from taxiway.plugins import Context, ModelLocation
from taxiway.source.admit import admit, copy_file
from taxiway.source.located import Located


class SavedModel(plugins.Source):
    """Checks the folder statically and copies it; a chosen signature becomes its default."""

    class Config(Located, frozen=True, tag_field="type", tag="saved_model"):
        """A TensorFlow SavedModel."""

        path: Annotated[ModelLocation, Meta(description="The folder that holds saved_model.pb.")]
        signature: Annotated[
            str | None,
            Meta(
                description="The signature to deploy; null takes serving_default, else serve, else "
                "the only one."
            ),
        ] = None

    produces = "saved_model"
    libraries = ("tensorflow",)

    def run(self, options: Config, context: Context) -> Model:
        path = Path(options.path)
        admit(path, "saved_model")
        target = context.workdir / "saved_model"
        if options.signature in (None, DEFAULTS[0]):
            _copy_folder(path, target)
        else:
            _save_with_default(path, options.signature, target)
        return describe(target, "saved_model")


def _copy_folder(source: Path, target: Path) -> None:
    for folder, _, files in os.walk(source, followlinks=False):
        destination = target / Path(folder).relative_to(source)
        destination.mkdir(parents=True)
        for name in files:
            copy_file(Path(folder, name), destination / name)


def _save_with_default(source: Path, signature: str | None, target: Path) -> None:
    """Steps that follow see one signature: the chosen one, saved again as the default."""
    import tensorflow as tf

    serving = load_saved_model(source, signature)
    tf.saved_model.save(serving.module, str(target), signatures={DEFAULTS[0]: serving.function})
