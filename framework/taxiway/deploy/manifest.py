"""The manifest of a bundle: a digest of every file, and of the manifest itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from taxiway.errors import SafetyError

NAME = "manifest.json"
MAX_BYTES = 2**20


def canonical(data: Any) -> bytes:
    """JSON with sorted keys: equal data gives equal bytes."""
    return (json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def write_manifest(folder: Path, about: dict[str, Any]) -> str:
    """Write manifest.json over every file in the folder; returns the bundle's digest.

    The digest is a SHA-256 over the manifest's other fields, and so over every file.
    """
    files = {path.relative_to(folder).as_posix(): _entry(path) for path in _regular(folder)}
    manifest = {**about, "files": files}
    digest = hashlib.sha256(canonical(manifest)).hexdigest()
    (folder / NAME).write_bytes(canonical({**manifest, "digest": digest}))
    return digest


def check_files(folder: Path) -> dict[str, Any]:
    """The manifest, after every file was compared with it.

    Raises SafetyError that names each file that is changed, missing or not listed, and for links
    and other special files. It proves that nothing changed since the manifest was written, not who
    wrote it.
    """
    path = folder / NAME
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise SafetyError(f"{folder} is no bundle: {NAME} is missing, a link or too large")
    text = path.read_bytes()
    try:
        manifest = json.loads(text)
        listed = {
            name: {"sha256": entry["sha256"], "size": entry["size"]}
            for name, entry in manifest["files"].items()
        }
        rest = {key: value for key, value in manifest.items() if key != "digest"}
        intact = canonical(manifest) == text and (
            hashlib.sha256(canonical(rest)).hexdigest() == manifest["digest"]
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SafetyError(f"{NAME} of {folder} cannot be read: {error!r}") from error
    if not intact:
        raise SafetyError(f"{NAME} of {folder} was changed: its digest does not fit")
    found = {file.relative_to(folder).as_posix(): file for file in _regular(folder)}
    problems = [f"{name} is missing" for name in sorted(listed.keys() - found.keys())]
    problems += [f"{name} is not in the manifest" for name in sorted(found.keys() - listed.keys())]
    problems += [
        f"{name} was changed"
        for name in sorted(listed.keys() & found.keys())
        if found[name].stat().st_size != listed[name]["size"] or _entry(found[name]) != listed[name]
    ]
    if problems:
        raise SafetyError("the bundle is not what its manifest says: " + "; ".join(problems))
    return dict(manifest)


def _regular(folder: Path) -> list[Path]:
    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise SafetyError(f"{path.relative_to(folder)} is a link or a special file")
        if path.is_file() and path != folder / NAME:
            files.append(path)
    return files


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": digest, "size": path.stat().st_size}
