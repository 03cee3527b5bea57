"""The gate of a legacy Keras file (.h5): its config, its links and its datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from taxiway.safety import hdf5, keras_config
from taxiway.safety.memory import HDF5_MEMORY, bounded_memory


def findings(path: Path, trusted: bool = False) -> list[str]:
    """What is unsafe in the file, one line each. trusted: its own code may run.

    Neither Keras nor tf_keras is imported.
    """
    import h5py

    try:
        with bounded_memory(HDF5_MEMORY), h5py.File(path, "r") as file:
            found = hdf5.findings(file)
            config = _config(file)
    # A damaged field may raise anything: h5py builds NumPy types from it.
    except Exception as error:
        return [f"it is no readable HDF5 file: {error}"]
    if config is None:
        return [
            *found,
            "it holds weights alone, no model_config: save the whole model, "
            "or name the code that builds it: source.factory=package.module:callable",
        ]
    if not isinstance(config, str | bytes):
        return [*found, "its model_config is no text"]
    return found + keras_config.findings(config, trusted)


def _config(file: Any) -> Any:
    """The root's model_config; None where there is none, a number where it is too large to be read."""
    if "model_config" not in file.attrs:
        return None
    attribute = file.attrs.get_id("model_config")
    size = max(attribute.get_storage_size(), attribute.get_type().get_size())
    plain = attribute.get_space().get_simple_extent_npoints() == 1
    return file.attrs["model_config"] if plain and size <= keras_config.MAX_CONFIG else size
