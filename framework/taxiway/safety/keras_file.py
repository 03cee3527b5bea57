"""The gate of a Keras file: an archive (.keras) or HDF5 (.h5), told apart as the loader does."""

from __future__ import annotations

import hashlib
from pathlib import Path

from taxiway.safety.hints import default_hint
from taxiway.safety.keras_config import STORED_CODE_REASON

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def findings(path: Path, trust: str | None = None) -> list[str]:
    """What is unsafe in the file, one line each.

    trust: SHA-256 of the file whose stored code may run; a finding where this is another file.
    """
    if trust and trust != (actual := digest(path)):
        return [f"source.trust is for the file with sha256 {trust}; this one has {actual}"]
    if is_hdf5(path):
        from taxiway.safety.keras_hdf5 import findings as read
    else:
        from taxiway.safety.keras_archive import findings as read
    return read(path, trusted=trust is not None)


def is_hdf5(path: Path) -> bool:
    """Whether a file starts as HDF5 does; what is appended to it, such as a zip archive, says nothing."""
    with path.open("rb") as file:
        return file.read(len(HDF5_MAGIC)) == HDF5_MAGIC


def digest(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hint(path: Path, found: list[str]) -> str:
    """What to do about findings; stored code alone can be trusted, for exactly this file."""
    if found[0].startswith("source.trust"):
        return "make sure that this is the file you meant; its digest is above"
    if all(finding.endswith(STORED_CODE_REASON) for finding in found):
        return (
            "replace it by a layer of Keras; or, if you know what it does and trust who made it: "
            f"source.trust={digest(path)}"
        )
    return default_hint(found)
