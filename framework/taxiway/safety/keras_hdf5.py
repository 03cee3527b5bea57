"""The gate of a legacy Keras file (.h5): its config, its links and its datasets."""

from __future__ import annotations

from pathlib import Path

from taxiway.safety import hdf5, keras_config


def findings(path: Path) -> list[str]:
    """What is unsafe in the file, one line each. Neither Keras nor tf_keras is imported."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            found = hdf5.findings(file)
            config = file.attrs.get("model_config")
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        return [f"it is no readable HDF5 file: {error}"]
    if config is None:
        return [
            *found,
            "it holds weights alone, no model_config: save the whole model, "
            "or name the code that builds it: source.factory=package.module:callable",
        ]
    if not isinstance(config, str | bytes):
        return [*found, "its model_config is no text"]
    return found + keras_config.findings(config)
