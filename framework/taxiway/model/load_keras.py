"""Loads a Keras file after the static safety gate: with Keras 3, else with tf_keras."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from taxiway import safety
from taxiway.errors import StepError
from taxiway.safety.keras_file import is_hdf5

SUFFIXES = {True: ".h5", False: ".keras"}


def suffix_of(path: Path) -> str:
    """The file extension that Keras needs for this content: `.h5` for HDF5, else `.keras`."""
    return SUFFIXES[is_hdf5(path)]


def load_keras(path: Path, trust: str | None = None) -> Any:
    """The model of a `.keras` or `.h5` file, uncompiled.

    It is a `keras.Model`, or a `tf_keras.Model` for an HDF5 file of Keras 2 that Keras 3 cannot
    read; `library_of` says which. trust: SHA-256 of the file, whose stored code may then run. Raises
    SafetyError before any loader runs, StepError where no library loads it.
    """
    safety.check(path, "keras", trust)
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    if keras.backend.backend() != "tensorflow":
        raise StepError(
            f"Keras runs on the '{keras.backend.backend()}' backend, Taxiway needs TensorFlow",
            "unset KERAS_BACKEND",
        )
    expected = suffix_of(path)
    if path.suffix not in ({".h5", ".hdf5"} if expected == ".h5" else {".keras"}):
        raise StepError(
            f"Keras does not open {path.name}: its content needs the extension {expected}",
            f"rename it to {path.stem}{expected}",
        )
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=trust is None)
    except Exception as error:
        if expected != ".h5":
            raise StepError(
                f"Keras {keras.__version__} cannot load {path.name}: {error}"
            ) from error
        first = error
    import tf_keras

    try:
        return tf_keras.models.load_model(path, compile=False, safe_mode=trust is None)
    except Exception as error:
        raise StepError(
            f"neither Keras {keras.__version__} nor tf_keras {tf_keras.__version__} can load "
            f"{path.name}: {first}; {error}"
        ) from error


def library_of(model: Any) -> str:
    """`keras` or `tf_keras`: the library that a loaded model belongs to."""
    for base in type(model).__mro__:
        if base.__module__.startswith("tf_keras."):
            return "tf_keras"
    return "keras"
