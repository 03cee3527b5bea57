"""What every source does first: the format by content, the static gate, a copy without links."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from taxiway import safety
from taxiway.errors import SafetyError, StepError
from taxiway.model import FORMATS, Format
from taxiway.model.formats import detect


def admit(path: Path, format: Format) -> None:
    """Raise StepError where `path` is of another format, SafetyError where the gate refuses it."""
    found = detect(path)
    if found != format:
        raise StepError(
            f"{path.name} is a model in format {FORMATS[found]}, expected {FORMATS[format]}",
            f"source={found}",
        )
    safety.check(path, format)


def copy_file(source: Path, target: Path) -> Path:
    """Copy a regular file's content and give the target.

    The path that the user names may be a link; what lies beside it was checked by the gate. Raises
    SafetyError where the source is no regular file.
    """
    resolved = source.resolve()
    try:
        descriptor = os.open(resolved, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise SafetyError(f"{source.name} cannot be opened: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, 2**20)
    return target
