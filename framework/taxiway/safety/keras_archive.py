"""The gate of a Keras 3 archive (.keras): the zip, its config and its weight files."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

from taxiway.safety import hdf5, keras_config
from taxiway.safety.memory import HDF5_MEMORY, bounded_memory
from taxiway.safety.zip_content import opened_member
from taxiway.safety.zip_members import unsafe_members

_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, ValueError, KeyError),
    *(NotImplementedError, RuntimeError, EOFError, OSError),
)


def findings(path: Path, trusted: bool = False) -> list[str]:
    """What is unsafe in the file, one line each. trusted: its own code may run.

    Keras is not imported, nothing is extracted.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = unsafe_members(archive)
            if found:
                return found
            for name in archive.namelist():
                if name == "config.json":
                    found += keras_config.findings(archive.read(name), trusted)
                elif name.endswith(".h5"):
                    found += [f"{name}: {reason}" for reason in _weights(archive, name)]
                elif name.endswith((".npz", ".npy", ".pkl")):
                    found.append(f"{name}: weights must be HDF5")
            if "config.json" not in archive.namelist():
                found.append("it has no config.json")
            return found
    except _DAMAGED as error:
        return [f"it is no readable zip archive: {error}"]


def _weights(archive: zipfile.ZipFile, name: str) -> list[Any]:
    import h5py

    try:
        with (
            opened_member(archive, name) as member,
            bounded_memory(HDF5_MEMORY),
            h5py.File(member, "r") as file,
        ):
            return hdf5.findings(file)
    # A damaged field may raise anything: h5py builds NumPy types from it.
    except Exception as error:
        return [f"it is no readable HDF5 file: {error}"]
