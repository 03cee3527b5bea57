"""The gate of a Keras file: an archive (.keras) or HDF5 (.h5), told apart by content."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from taxiway.safety.keras_config import STORED_CODE_REASON


def findings(path: Path, trust: str | None = None) -> list[str]:
    """What is unsafe in the file, one line each.

    trust: SHA-256 of the file whose stored code may run; a finding where this is another file.
    """
    if trust and trust != (actual := digest(path)):
        return [f"source.trust is for the file with sha256 {trust}; this one has {actual}"]
    if zipfile.is_zipfile(path):
        from taxiway.safety.keras_archive import findings as read
    else:
        from taxiway.safety.keras_hdf5 import findings as read
    return read(path, trusted=trust is not None)


def digest(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hint(path: Path, found: list[str]) -> str:
    """What to do about findings; stored code alone can be trusted, for exactly this file."""
    if all(finding.endswith(STORED_CODE_REASON) for finding in found):
        return (
            "replace it by a layer of Keras; or, if you know what it does and trust who made it: "
            f"source.trust={digest(path)}"
        )
    return "export the model again without these parts, from a machine you trust"
