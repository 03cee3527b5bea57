"""The archive of a .npz: its arrays by name, with the limits that keep a hostile file harmless."""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path

from taxiway.data.npy import NpyArray, member_stream, open_array
from taxiway.errors import SafetyError, StepError

MAX_MEMBERS = 1_000
MAX_RATIO = 200
RATIO_MATTERS_FROM = 2**28
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class NpzArchive:
    """Opens arrays by name; reads only the directory and the headers of the arrays asked for."""

    def __init__(self, path: Path) -> None:
        """Raises StepError where the file is no archive, SafetyError where it breaks a limit."""
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except OSError as error:
            raise StepError(f"{path} cannot be read: {error.strerror}") from error
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise StepError(
                f"{path.name} is not a .npz archive: {error}", "write one with numpy.savez"
            ) from error
        self._members = _checked(path.name, members)
        self.array = cache(self._open)

    @property
    def names(self) -> list[str]:
        return sorted(name.removesuffix(".npy") for name in self._members)

    def _open(self, name: str) -> NpyArray:
        member = self._members.get(f"{name}.npy")
        if member is None:
            raise StepError(
                f"{self.path.name} has no array '{name}'",
                f"its arrays: {', '.join(self.names) or 'none'}",
            )
        with member_stream(self.path, member.filename) as stream:
            return open_array(self.path, member, stream)


def _checked(archive: str, members: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    if len(members) > MAX_MEMBERS:
        raise SafetyError(f"{archive} has {len(members):,} members; at most {MAX_MEMBERS:,}")
    found: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        name, real = member.filename, max(1, member.compress_size)
        if name in found:
            raise SafetyError(f"{archive} holds '{name}' twice")
        if member.flag_bits & 0x1 or member.compress_type not in METHODS:
            raise SafetyError(f"'{name}' in {archive} is encrypted or compressed in an unusual way")
        if member.file_size > RATIO_MATTERS_FROM and member.file_size > MAX_RATIO * real:
            raise SafetyError(
                f"'{name}' in {archive} unpacks {real:,} bytes to {member.file_size:,}; at most "
                f"{MAX_RATIO} times its size is accepted"
            )
        found[name] = member
    return found
