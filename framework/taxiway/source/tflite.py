"""A TFLite (LiteRT) model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from taxiway import plugins
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.plugins import Context, ModelLocation
from taxiway.source.admit import admit, copy_file
from taxiway.source.located import Located


class TFLite(plugins.Source):
    """Checks the file statically and copies it."""

    class Config(Located, frozen=True, tag_field="type", tag="tflite"):
        """A model in TFLite format."""

        path: Annotated[ModelLocation, Meta(description="The .tflite file.")]

    produces = "tflite"
    libraries = ("ai-edge-litert",)

    def run(self, options: Config, context: Context) -> Model:
        path = Path(options.path)
        admit(path, "tflite")
        return describe(copy_file(path, context.workdir / "model.tflite"), "tflite")
