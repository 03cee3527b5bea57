"""The gate of a Keras file that holds weights alone (.weights.h5, or a legacy .h5): links and datasets."""

from __future__ import annotations

from pathlib import Path

from taxiway.safety import hdf5


def findings(path: Path) -> list[str]:
    """What is unsafe in the file, one line each. A config beside the weights is not read."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return hdf5.findings(file)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        return [f"it is no readable HDF5 file: {error}"]
