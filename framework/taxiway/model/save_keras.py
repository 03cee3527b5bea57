"""Saves a Keras model so that equal weights give equal bytes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

_EPOCH = (1980, 1, 1, 0, 0, 0)
_DATE = "1980-01-01@00:00:00"


def save_keras(network: Any, path: Path) -> Path:
    """Write a `keras.Model` to `path` (.keras), without the time of its making; gives `path`."""
    network.save(path)
    _make_canonical(path)
    return path


def _make_canonical(archive: Path) -> None:
    """Write the archive anew without the time of its making and the addresses of its objects."""
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in sorted(file.namelist())}
    metadata, config = (json.loads(members[name]) for name in ("metadata.json", "config.json"))
    _number_shared(config, {})
    members["metadata.json"] = json.dumps({**metadata, "date_saved": _DATE}).encode()
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name, _EPOCH), content)


def _number_shared(config: Any, numbers: dict[int, int]) -> None:
    """Objects that a config holds twice are told by `shared_object_id`: count them from 1."""
    if isinstance(config, dict):
        shared = config.get("shared_object_id")
        if isinstance(shared, int):
            config["shared_object_id"] = numbers.setdefault(shared, len(numbers) + 1)
    if isinstance(config, dict | list):
        for value in config.values() if isinstance(config, dict) else config:
            _number_shared(value, numbers)
