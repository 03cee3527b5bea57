"""The gate of a Keras file that holds weights alone (.weights.h5, or a legacy .h5): links and datasets."""

from __future__ import annotations

from pathlib import Path

from taxiway.safety import hdf5
from taxiway.safety.memory import HDF5_MEMORY, bounded_memory


def findings(path: Path) -> list[str]:
    """What is unsafe in the file, one line each. A config beside the weights is not read."""
    import h5py

    try:
        with bounded_memory(HDF5_MEMORY), h5py.File(path, "r") as file:
            return hdf5.findings(file)
    # A damaged field may raise anything: h5py builds NumPy types from it.
    except Exception as error:
        return [f"it is no readable HDF5 file: {error}"]
