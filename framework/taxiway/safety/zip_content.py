"""A zip member as a file that can be searched: HDF5 jumps back and forth, which zipfile replays."""

from __future__ import annotations

import io
import mmap
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

_LOCAL_HEADER = struct.Struct("<4s22xHH")


class _Window(io.RawIOBase):
    """A part of a mapped file, read without a copy of the whole."""

    def __init__(self, data: memoryview) -> None:
        super().__init__()
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        part = self._data[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


@contextmanager
def opened_member(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """A member's content: mapped where it is stored as it is, else unpacked to a temporary file.

    Call it after `unsafe_members`, which bounds what it unpacks to. Raises zipfile.BadZipFile.
    """
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        with tempfile.TemporaryFile() as unpacked, archive.open(info) as packed:
            shutil.copyfileobj(packed, unpacked)
            unpacked.seek(0)
            yield unpacked
        return
    stream = archive.fp
    assert stream is not None
    data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    # The directory gives the local header's place; only that header knows its own length
    # (APPNOTE.TXT 4.3.7).
    header = data[info.header_offset : info.header_offset + _LOCAL_HEADER.size]
    if len(header) < _LOCAL_HEADER.size:
        raise zipfile.BadZipFile(f"member {name!r} lies outside the file")
    magic, named, extra = _LOCAL_HEADER.unpack(header)
    start = info.header_offset + _LOCAL_HEADER.size + named + extra
    if magic != b"PK\x03\x04" or start + info.file_size > len(data):
        raise zipfile.BadZipFile(f"member {name!r} lies outside the file")
    yield cast(IO[bytes], _Window(data[start : start + info.file_size]))
