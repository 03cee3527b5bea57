"""What every source does first: the format by content, the static gate, a copy without links."""

from __future__ import annotations

import shutil
from pathlib import Path

from taxiway import safety
from taxiway.errors import SafetyError, StepError
from taxiway.model import FORMATS, Format
from taxiway.model.formats import detect


def admit(path: Path, format: Format, trust: str | None = None) -> None:
    """Raise StepError where `path` is of another format, SafetyError where the gate refuses it."""
    found = detect(path)
    if found != format:
        raise StepError(
            f"{path.name} is a model in format {FORMATS[found]}, expected {FORMATS[format]}",
            f"source={found}",
        )
    safety.check(path, format, trust)


def copy_file(source: Path, target: Path) -> Path:
    """Copy a regular file's content and give the target.

    A link is followed: the user may name one, and the gate refused those within the model. Raises
    SafetyError where the source is no regular file.
    """
    if not source.is_file():
        raise SafetyError(f"{source.name} is no regular file")
    shutil.copyfile(source, target)
    return target
