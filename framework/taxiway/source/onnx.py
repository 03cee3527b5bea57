"""An ONNX model file, with the files of external data beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from taxiway import plugins
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.onnx_file import copy_model
from taxiway.plugins import Context, ModelLocation
from taxiway.safety.onnx_external import external_names
from taxiway.source.admit import admit
from taxiway.source.located import Located


class Onnx(plugins.Source):
    """Checks the file statically and copies it with its external data."""

    class Config(Located, frozen=True, tag_field="type", tag="onnx"):
        """A model in ONNX format."""

        path: Annotated[
            ModelLocation,
            Meta(description="The .onnx file; external data is read from files beside it."),
        ]

    produces = "onnx"
    libraries = ("onnx",)

    def files(self, options: Config) -> tuple[Path, ...]:
        path = Path(options.path)
        names = external_names(path) if path.is_file() else ()
        return tuple(path.with_name(name) for name in names if name == Path(name).name)

    def run(self, options: Config, context: Context) -> Model:
        path = Path(options.path)
        admit(path, "onnx")
        return describe(copy_model(path, context.workdir), "onnx")
