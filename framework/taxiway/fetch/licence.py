"""The licence that a model's own files state: its model card, else the metadata of its package.

The card stands beside the model and speaks of it; a package may have a licence for its code alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

CARD = "README.md"
MAX_BYTES = 2**20
_LONG = 100
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_PREFIX = "License :: "


@dataclass(frozen=True)
class Licence:
    """text: as it was found, an SPDX expression where its author wrote one. origin: where it says so."""

    text: str
    origin: str


def of_folder(folder: Path) -> Licence | None:
    """From the model card's front matter (https://huggingface.co/docs/hub/model-cards)."""
    card = folder / CARD
    if not card.is_file() or card.is_symlink():
        return None
    with card.open("rb") as stream:
        text = stream.read(MAX_BYTES).decode("utf-8", errors="replace")
    match = _FRONT_MATTER.match(text.replace("\r\n", "\n"))
    if not match:
        return None
    # One line each: no YAML parser is needed, nor any of its ways to exhaust memory.
    lines = re.findall(
        r"^(license|license_name):[ \t]*(\S[^\n#]*)(?:#.*)?$", match[1], re.MULTILINE
    )
    said = {key: value.strip().strip("'\"") for key, value in lines}
    name = said.get("license", "")
    if name == "other":
        name = said.get("license_name", name)
    return _licence(name, f"model card {CARD}")


def of_package(text: str, wheel: str) -> Licence | None:
    """From the METADATA of a wheel (core metadata: License-Expression, License, classifiers)."""
    fields = Parser().parsestr(text[:MAX_BYTES], headersonly=True)
    return _of_fields(fields, f"metadata of {wheel}")


def of_distribution(name: str) -> Licence | None:
    """From the metadata of an installed distribution."""
    try:
        fields = metadata(name)
    except PackageNotFoundError:
        return None
    return _of_fields(fields, f"metadata of {name}")


def _of_fields(fields: Message | Any, origin: str) -> Licence | None:
    for field in ("License-Expression", "License"):
        found = _licence(str(fields.get(field) or ""), origin)
        if found:
            return found
    classifiers = [str(line) for line in fields.get_all("Classifier") or ()]
    names = [line.split(" :: ")[-1] for line in classifiers if line.startswith(_PREFIX)]
    return _licence(", ".join(sorted(set(names) - {"OSI Approved"})), origin)


def _licence(text: str, origin: str) -> Licence | None:
    """One line; a field that holds the whole text of a licence names none."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if len(lines) != 1 or len(lines[0]) > _LONG or lines[0].upper() in ("UNKNOWN", "NONE"):
        return None
    return Licence(lines[0], origin)


def stated(chosen: str | None, found: Mapping[str, Any] | None) -> str | None:
    """The licence that is written down: the recipe's own word, else what was found."""
    return chosen or (found or {}).get("text")
