"""A scikit-learn estimator or pipeline in skops format."""

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


class Sklearn(plugins.Source):
    """Checks the file statically and copies it; a pickle or joblib file is refused."""

    class Config(Located, frozen=True, tag_field="type", tag="sklearn"):
        """A fitted scikit-learn estimator or pipeline."""

        path: Annotated[
            ModelLocation, Meta(description="The .skops file that skops.io.dump wrote.")
        ]

    produces = "sklearn"
    libraries = ("scikit-learn", "skops")

    def run(self, options: Config, context: Context) -> Model:
        path = Path(options.path)
        admit(path, "sklearn")
        return describe(copy_file(path, context.workdir / "model.skops"), "sklearn")
