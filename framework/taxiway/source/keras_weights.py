"""Weights of a Keras model, loaded into a model that installed code builds, and saved as one .keras file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taxiway import safety
from taxiway.errors import SafetyError, StepError
from taxiway.model.save_keras import save_keras
from taxiway.safety.keras_file import HDF5_MAGIC
from taxiway.source.admit import copy_file
from taxiway.source.factory import build


def save_with_weights(path: Path, factory: str, arguments: Mapping[str, Any], target: Path) -> None:
    """Build the model, load the weights in `path`, and save it at `target` (.keras).

    Equal weights give equal bytes. Raises SafetyError for a file that reads besides itself,
    StepError where weights and model do not fit.
    """
    with path.open("rb") as file:
        if file.read(len(HDF5_MAGIC)) != HDF5_MAGIC:
            raise StepError(
                f"{path.name} is no HDF5 file, expected weights that Keras saved",
                "save them with model.save_weights('model.weights.h5')",
            )
    safety.check(path, "keras_weights")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    # Layers without a name of their own are numbered through the whole process.
    keras.backend.clear_session()
    model = build(factory, arguments, keras.Model, "keras.Model")
    copy = copy_file(path, target.with_name(f"model{_suffix(path)}"))
    try:
        model.load_weights(str(copy))
    except Exception as error:
        raise StepError(
            f"the weights of {path.name} do not fit '{factory}': {' '.join(str(error).split())[:600]}",
            "check source.arguments, or save the weights of this very model",
        ) from error
    finally:
        copy.unlink()
    save_keras(model, target)
    try:
        safety.check(target, "keras")
    except SafetyError as error:
        raise StepError(
            f"'{factory}' builds a model of more than Keras's own layers:\n{error.message}",
            "save it with model.export(folder), and use source=saved_model",
        ) from error


def _suffix(path: Path) -> str:
    """The ending that Keras goes by: `.weights.h5` for its own layout, `.h5` for that of Keras 2."""
    import h5py

    with h5py.File(path, "r") as file:
        legacy = "layer_names" in file.attrs or "model_weights" in file
    return ".h5" if legacy else ".weights.h5"
