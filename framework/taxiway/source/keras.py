"""A Keras model file: a `.keras` archive, or a legacy `.h5`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from taxiway import plugins
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.load_keras import suffix_of
from taxiway.plugins import Context, ModelLocation
from taxiway.source.admit import admit, copy_file
from taxiway.source.located import Located


class Keras(plugins.Source):
    """Checks the file statically and copies it; an .h5 of Keras 2 is read with tf_keras."""

    class Config(Located, frozen=True, tag_field="type", tag="keras"):
        """A trained Keras model."""

        path: Annotated[ModelLocation, Meta(description="The .keras or .h5 file.")]
        trust: Annotated[
            Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")] | None,
            Meta(
                description="SHA-256 of the file, as 64 hex digits: the Python code that its Lambda "
                "layers hold may then run. Only for a file whose maker you trust."
            ),
        ] = None

    produces = "keras"
    libraries = ("tensorflow", "keras", "tf-keras")

    def run(self, options: Config, context: Context) -> Model:
        path = Path(options.path)
        admit(path, "keras", options.trust)
        copy = copy_file(path, context.workdir / f"model{suffix_of(path)}")
        return describe(copy, "keras", options.trust)
