"""Files and folders that Taxiway writes: never through a link, which may lead to anything."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from taxiway.errors import SafetyError


def refuse_link(path: Path, what: str, hint: str | None = None) -> None:
    """Raises SafetyError where `path` is a symbolic link."""
    if path.is_symlink():
        raise SafetyError(f"the {what} {path} is a link", hint or "remove it, or name its target")


def write_file(path: Path, content: bytes, what: str = "file") -> None:
    """Write a file whole, by rename; a reader sees the old one or the new one.

    Raises SafetyError where `path` is a link, OSError where the disk refuses.
    """
    refuse_link(path, what)
    descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name[:100]}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        mask = os.umask(0)
        os.umask(mask)
        Path(scratch).chmod(0o666 & ~mask)
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
