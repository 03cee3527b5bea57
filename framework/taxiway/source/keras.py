"""A Keras model: a `.keras` archive or a legacy `.h5`, or weights together with the code that builds it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from taxiway import plugins
from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.model.load_keras import suffix_of
from taxiway.plugins import Context, ModelLocation
from taxiway.source.admit import admit, copy_file
from taxiway.source.factory import FactoryName, distribution_of, origin_of
from taxiway.source.located import Located


class Keras(plugins.Source):
    """Checks the file statically and copies it; an .h5 of Keras 2 is read with tf_keras.

    Weights alone (.weights.h5, or .h5) are loaded into the model that `factory` builds when it is
    called with `arguments`, and the whole model is saved.
    """

    class Config(Located, frozen=True, tag_field="type", tag="keras"):
        """A trained Keras model."""

        path: Annotated[
            ModelLocation, Meta(description="The .keras or .h5 file; with `factory` the weights.")
        ]
        trust: Annotated[
            Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")] | None,
            Meta(
                description="SHA-256 of the file, as 64 hex digits: the Python code that its Lambda "
                "layers hold may then run. Only for a file whose maker you trust."
            ),
        ] = None
        factory: Annotated[
            FactoryName | None,
            Meta(
                description="What builds the model for weights alone, as `package.module:callable` "
                "of an installed distribution: a subclass of keras.Model, or a function annotated "
                "to return one."
            ),
        ] = None
        arguments: Annotated[
            dict[str, Any], Meta(description="Keyword arguments of `factory`: plain data.")
        ] = {}

        def __post_init__(self) -> None:
            if self.arguments and not self.factory:
                raise ValueError("`arguments` belong to a `factory`, which is missing")

    produces = "keras"
    libraries = ("tensorflow", "keras", "tf-keras")

    def distributions(self, options: Config) -> tuple[str, ...]:
        return distribution_of(options.factory)

    def check(self, options: Config) -> None:
        if options.factory:
            origin_of(options.factory)

    def run(self, options: Config, context: Context) -> Model:
        path = Path(options.path)
        if options.factory:
            from taxiway.source.keras_weights import save_with_weights

            target = context.workdir / "model.keras"
            save_with_weights(path, options.factory, options.arguments, target)
            return describe(target, "keras")
        admit(path, "keras", options.trust)
        copy = copy_file(path, context.workdir / f"model{suffix_of(path)}")
        return describe(copy, "keras", options.trust)
