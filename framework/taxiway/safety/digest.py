"""Content digests of files and folders."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def digest_file(path: Path) -> str:
    """`sha256:...` of a file's bytes."""
    with path.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()


def digest_tree(root: Path) -> dict[str, str]:
    """Relative path -> digest of every file below a folder, sorted by path; of a link, where it leads."""
    files = sorted(path for path in root.rglob("*") if path.is_symlink() or path.is_file())
    return {path.relative_to(root).as_posix(): _digest_entry(path) for path in files}


def _digest_entry(path: Path) -> str:
    return f"link:{path.readlink()}" if path.is_symlink() else digest_file(path)


def digest_path(path: Path) -> str:
    """Of a file, its bytes; of a folder, the digests of its files with their names."""
    return digest_file(path) if path.is_file() else digest_json(digest_tree(path))


def digest_json(value: Any) -> str:
    """Of plain data, by its canonical JSON (sorted keys, no spaces, no NaN)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
