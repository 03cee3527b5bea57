"""The JSON Schemas as files: Taxiway's own, checked in, or those of everything installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from taxiway.compose import schema
from taxiway.compose.assets import asset, config_folders, config_groups
from taxiway.plugins import SECTIONS, Registry, registry
from taxiway.safety.output import refuse_link, write_file


def own_schemas() -> dict[str, str]:
    """File name -> text, for the plugins and config groups of Taxiway alone."""
    entries = [entry for section in SECTIONS for entry in entry_points(group=f"taxiway.{section}")]
    return _texts(schema.documents(Registry(e for e in entries if e.value.startswith("taxiway."))))


def installed_schemas() -> dict[str, str]:
    """File name -> text, with the plugins and config groups of other packages."""
    groups = config_groups(config_folders(asset("recipes") / "any.yaml"))
    found = registry()
    return _texts(
        {
            "recipe.schema.json": schema.recipe(found, groups),
            "resolved.schema.json": schema.resolved(found),
        }
    )


def _texts(documents: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(document, indent=2) + "\n" for name, document in documents.items()}


def stale(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """The files in `folder` that are absent or differ from `texts`."""
    return [
        folder / name
        for name, text in texts.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write each file by rename; a reader sees the old one or the new one."""
    refuse_link(folder, "schema folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_file(folder / name, text.encode(), "schema")
