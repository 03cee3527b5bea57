"""The gate of a Keras file: an archive (.keras) or HDF5 (.h5), told apart by content."""

from __future__ import annotations

import zipfile
from pathlib import Path


def findings(path: Path) -> list[str]:
    """What is unsafe in the file, one line each."""
    if zipfile.is_zipfile(path):
        from taxiway.safety.keras_archive import findings as read
    else:
        from taxiway.safety.keras_hdf5 import findings as read
    return read(path)
