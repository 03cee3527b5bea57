"""`wheel://`: a wheel fetched with the user's own pip settings, and a file or folder read out of it.

Nothing of it is installed, built or run: pip is told to take wheels only, and without dependencies.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from taxiway.errors import PluginError, SafetyError, StepError
from taxiway.fetch.location import WheelFile
from taxiway.fetch.package import nearest
from taxiway.fetch.redact import without_secrets
from taxiway.fetch.stream import CHUNK, NewFile, Transfer, make_folder
from taxiway.safety.zip_members import unsafe_members

_POLL = 0.05
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
# -P: a file pip.py in the working folder is not run.
_PIP = (sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:")
_QUIET = ("--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-color")


def fetch(location: WheelFile, folder: Path, transfer: Transfer) -> None:
    """Put the wheel itself into `folder`.

    Raises StepError with pip's reason where there is no such wheel for this Python, PluginError
    where there is no pip.
    """
    with TemporaryDirectory(prefix="pip-", dir=folder.parent) as scratch:
        got = Path(scratch, "wheels")
        log = Path(scratch, "log")
        # pip unpacks and moves within its own temporary folder: what it holds is what has come.
        environment = {**os.environ, "TMPDIR": scratch, "PYTHONUNBUFFERED": "1"}
        command = [*_PIP, *_QUIET, "--dest", str(got), "--", location.requirement]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )
            try:
                while process.poll() is None:
                    transfer.at(_size(Path(scratch)))
                    time.sleep(_POLL)
            finally:
                process.kill()
                process.wait()
        if process.returncode:
            raise _failed(location, log.read_text(errors="replace"))
        wheel = _wheel(location, got)
        wheel.replace(folder / wheel.name)


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).lstat().st_size
            except OSError:
                continue
    return total


def _failed(location: WheelFile, log: str) -> Exception:
    if "No module named pip" in log:
        return PluginError("wheel:// needs pip, which is not installed", "python -m ensurepip")
    lines = [line for line in log.splitlines() if line.startswith("ERROR:")]
    reason = (lines or log.strip().splitlines() or ["pip said nothing"])[0].removeprefix("ERROR: ")
    hint = (
        "only a wheel for this Python is taken; a source distribution would have to be built, which "
        "runs its code"
        if "No matching distribution" in log
        else f"see what pip says: pip download --no-deps {location.requirement}"
    )
    return StepError(
        f"pip gives no wheel of {location.requirement}: {without_secrets(reason)}", hint
    )


def _wheel(location: WheelFile, folder: Path) -> Path:
    """The one file pip left, by the name that the wheel specification gives it."""
    wanted = _canonical(location.distribution)
    for path in sorted(folder.iterdir()):
        named = path.suffix == ".whl" and _canonical(path.name.split("-")[0]) == wanted
        if named and path.is_file() and not path.is_symlink():
            return path
    raise StepError(f"pip gave no wheel of {location.requirement}")


def _canonical(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def members(wheel: Path) -> dict[str, zipfile.ZipInfo]:
    """The files in a wheel by name. Raises SafetyError where its directory is unsafe or damaged."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = unsafe_members(archive)
            files = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise SafetyError(f"{wheel.name} is no readable wheel: {error}") from error
    if found:
        lines = "\n".join(f"  - {line}" for line in found)
        raise SafetyError(f"{wheel.name} is refused:\n{lines}", "take another wheel")
    return files


def extract(wheel: Path, path: str, target: Path) -> Path:
    """Write the file or folder `path` of the wheel below the empty folder `target`, and give it.

    A file brings those beside it whose names begin with its own, such as `net.onnx.data`.
    Raises SafetyError for an unsafe or damaged wheel, StepError with the nearest names where it does
    not hold the path.
    """
    files = members(wheel)
    wanted = [name for name in files if name.startswith(f"{path}/")]
    if path in files:
        rest = len(path)
        wanted = [name for name in files if name.startswith(path) and "/" not in name[rest:]]
    if not wanted:
        raise StepError(f"{wheel.name} has no '{path}'", nearest(path, files))
    start = PurePosixPath(path).parent
    with zipfile.ZipFile(wheel) as archive:
        for name in wanted:
            to = target / PurePosixPath(name).relative_to(start)
            make_folder(to.parent)
            _write(archive, files[name], to, wheel)
    return target / PurePosixPath(path).name


def metadata(wheel: Path) -> str:
    """The core metadata of a wheel as text; empty where there is none."""
    names = [name for name in members(wheel) if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
    if not names:
        return ""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(names[0]) as stream:
            return stream.read(CHUNK).decode("utf-8", errors="replace")
    except _DAMAGE as error:
        raise SafetyError(f"'{names[0]}' in {wheel.name} is damaged: {error}") from error


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, wheel: Path) -> None:
    try:
        with archive.open(info) as stream, NewFile(target) as file:
            while chunk := stream.read(CHUNK):
                file.write(chunk)
    except _DAMAGE as error:
        raise SafetyError(f"'{info.filename}' in {wheel.name} is damaged: {error}") from error
    if target.stat().st_size != info.file_size:
        raise SafetyError(f"'{info.filename}' in {wheel.name} has another size than it declares")
