"""`hf://`, `s3://` and `gs://` through fsspec: one file, or every file below a folder."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from taxiway.errors import PluginError, SafetyError, StepError, TaxiwayError
from taxiway.fetch.location import BucketFile, HubFile, S3File
from taxiway.fetch.redact import without_secrets
from taxiway.fetch.stream import IDLE_SECONDS, Transfer, make_folder
from taxiway.plugins.registry import missing_module

MAX_FILES = 10_000
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.joblib")
OF_OTHERS = (
    *("*.h5", "*.msgpack", "*.ot", "*.onnx", "*.tflite", "*.gguf"),
    *("onnx/*", "openvino/*", "coreml/*"),
)
"""Left out of a whole repository, beside pickles: the same weights once more, for another framework."""


def fetch_hub(location: HubFile, folder: Path, transfer: Transfer) -> None:
    """Put the file, or the folder under its own name, into `folder`.

    Raises PluginError where huggingface_hub is not installed, StepError where the hub does not give
    it.
    """
    try:
        from huggingface_hub import HfFileSystem
    except ImportError as error:
        raise missing_module(error) from error
    revision = f"@{location.revision}" if location.revision else ""
    root = f"{location.repository}{revision}"
    where = f"{root}/{location.path}" if location.path else root
    with _Spoken(location.shown):
        system = HfFileSystem(use_listings_cache=False, skip_instance_cache=True)
        if location.path and not system.isdir(where):
            _one(system, where, location.name, folder, transfer)
            return
        left_out = PICKLES if location.path else (*PICKLES, *OF_OTHERS)
        _all(system, where, left_out, folder / location.name, transfer)


def fetch_bucket(location: BucketFile, folder: Path, transfer: Transfer) -> None:
    """Put the object, or the folder under its own name, into `folder`.

    Raises PluginError where s3fs or gcsfs is not installed, StepError where the store does not give
    it.
    """
    with _Spoken(location.shown):
        system = _system(location)
        where = f"{location.bucket}/{location.key}".rstrip("/")
        if location.folder:
            _all(system, where, (), folder / location.name, transfer)
        else:
            _one(system, where, location.name, folder, transfer)


def _system(location: BucketFile) -> Any:
    """The file system with the user's own credentials and settings; none come from a recipe."""
    try:
        if isinstance(location, S3File):
            from s3fs import S3FileSystem

            timeouts = {"connect_timeout": IDLE_SECONDS, "read_timeout": IDLE_SECONDS}
            return S3FileSystem(skip_instance_cache=True, config_kwargs=timeouts)
        from gcsfs import GCSFileSystem

        return GCSFileSystem(skip_instance_cache=True)
    except ImportError as error:
        raise missing_module(error) from error


def _one(system: Any, where: str, name: str, folder: Path, transfer: Transfer) -> None:
    size = int(system.info(where)["size"])
    transfer.expect(size)
    _save(system, where, size, folder / name, transfer)


def _all(
    system: Any, where: str, left_out: tuple[str, ...], folder: Path, transfer: Transfer
) -> None:
    """Every file below `where` but hidden ones and those that a pattern names."""
    found = system.find(where, detail=True)
    wanted = {}
    for key, info in found.items():
        # The hub's names come back with the revision that was resolved.
        name = key.removeprefix(where).lstrip("/")
        # Consoles mark a folder with an object of its name.
        marker = not name or name.endswith("/")
        if info.get("type") == "file" and not marker and not _left_out(_safe(name), left_out):
            wanted[name] = (key, int(info["size"]))
    if not wanted:
        raise StepError(f"{transfer.shown} holds no file that is fetched", "name the file itself")
    if len(wanted) > MAX_FILES:
        raise SafetyError(f"{transfer.shown} holds {len(wanted):,} files; at most {MAX_FILES:,}")
    transfer.expect(sum(size for _, size in wanted.values()))
    for name, (key, size) in sorted(wanted.items()):
        target = folder / name
        make_folder(target.parent)
        _save(system, key, size, target, transfer)


def _left_out(name: str, patterns: tuple[str, ...]) -> bool:
    hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
    return hidden or any(fnmatch(name, pattern) for pattern in patterns)


def _safe(name: str) -> str:
    """Names come from a server: they may not lead out of the folder."""
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in name or "\0" in name:
        raise SafetyError(f"a file is named {name!r}, which leads out of its folder")
    return name


def _save(system: Any, where: str, size: int, target: Path, transfer: Transfer) -> None:
    with system.open(where, "rb", cache_type="readahead") as stream:
        transfer.save(stream, target, size)


class _Spoken:
    """Turns what the libraries raise into one StepError without credentials."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if error is None or isinstance(error, TaxiwayError) or not isinstance(error, Exception):
            return
        if isinstance(error, ImportError):
            raise PluginError(str(error)) from error
        said = str(error).strip().splitlines()
        reason = without_secrets(said[0] if said else type(error).__name__)[:300]
        raise StepError(
            f"{self._shown} cannot be fetched: {type(error).__name__}: {reason}",
            "check the name, and the credentials in your environment",
        ) from error
