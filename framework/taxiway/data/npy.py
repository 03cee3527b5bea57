"""Rows of one array inside a .npz, read as a stream: a dataset need not fit into memory.

`numpy.load` would allocate what a header declares, and unpickle object arrays when asked to; this
reader does neither.
"""

from __future__ import annotations

import ast
import math
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from taxiway.errors import SafetyError, StepError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MAGIC = b"\x93NUMPY"
CHUNK = 2**20
MAX_HEADER = 10_000
MAX_ROW = 2**28
PLAIN_KINDS = "biufcSU"


@dataclass(frozen=True)
class NpyArray:
    """An array in an archive: rows are its first axis.

    `data_offset` is where the data starts inside the decompressed member.
    """

    archive: Path
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    data_offset: int

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape[1:])

    def batches(self, indices: Array, size: int) -> Iterator[Array]:
        """The rows at ascending `indices`, `size` at a time, in the stored dtype.

        Raises SafetyError where the data ends early or its checksum is wrong.
        """
        import numpy as np

        kept: list[Array] = []
        count = 0
        for rows in self.picked(indices):
            kept.append(rows)
            count += len(rows)
            if count >= size:
                merged = np.concatenate(kept)
                cut = count - count % size
                for start in range(0, cut, size):
                    yield merged[start : start + size]
                kept, count = [merged[cut:]], count - cut
        if count:
            yield np.concatenate(kept)

    def picked(self, indices: Array) -> Iterator[Array]:
        """The rows at ascending `indices` in pieces of about a mebibyte, without regrouping."""
        import numpy as np

        if not len(indices):
            return
        step = max(1, CHUNK // self.row_bytes)
        with self._chunks(step, int(indices[-1]) + 1) as chunks:
            for start, rows in chunks:
                low, high = np.searchsorted(indices, (start, start + len(rows)))
                if low < high:
                    yield rows[indices[low:high] - start]

    @contextmanager
    def _chunks(self, step: int, stop: int) -> Iterator[Iterator[tuple[int, Array]]]:
        import numpy as np

        def row_major(stream: IO[bytes]) -> Iterator[tuple[int, Array]]:
            for start in range(0, stop, step):
                count = min(step, len(self) - start)
                data = _exactly(stream, count * self.row_bytes, self.name)
                yield start, np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])

        def column_major(spool: IO[bytes]) -> Iterator[tuple[int, Array]]:
            whole = np.memmap(spool, self.dtype, "r", shape=self.shape, order="F")
            for start in range(0, stop, step):
                yield start, np.ascontiguousarray(whole[start : start + step])

        with member_stream(self.archive, f"{self.name}.npy") as data:
            _exactly(data, self.data_offset, self.name)
            if not self.fortran_order:
                yield row_major(data)
                return
            # A row of a column-major array is spread over the whole member.
            with tempfile.TemporaryFile() as spool:
                left = len(self) * self.row_bytes
                while left:
                    left -= spool.write(_exactly(data, min(left, CHUNK), self.name))
                spool.flush()
                yield column_major(spool)


@contextmanager
def member_stream(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """A member's decompressed bytes. Raises SafetyError where the archive is damaged there."""
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as stream:
            yield stream
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise SafetyError(f"'{member}' in {archive.name} is damaged: {error}") from error


def open_array(archive: Path, member: zipfile.ZipInfo, stream: IO[bytes]) -> NpyArray:
    """Read and check the header at the start of `stream` (NEP 1, format versions 1 to 3).

    Raises SafetyError for an object or structured array, for a header that is malformed, and for a
    shape that does not fit the member's size; StepError for an array that has no rows.
    """
    import numpy as np

    name = member.filename.removesuffix(".npy")
    what = f"array '{name}' of {archive.name}"
    start = _exactly(stream, 8, name)
    if start[:6] != MAGIC or start[6] not in (1, 2, 3):
        raise SafetyError(f"{what} is not in the .npy format")
    width = "<H" if start[6] == 1 else "<I"
    (length,) = struct.unpack(width, _exactly(stream, struct.calcsize(width), name))
    if length > MAX_HEADER:
        raise SafetyError(f"{what} declares a header of {length:,} bytes; at most {MAX_HEADER:,}")
    try:
        fields = ast.literal_eval(_exactly(stream, length, name).decode("utf-8").strip())
        descr, fortran, shape = (fields.pop(key) for key in ("descr", "fortran_order", "shape"))
        dtype = np.dtype(descr)
        if fields or not isinstance(fortran, bool) or not isinstance(shape, tuple):
            raise ValueError("unknown fields")
        if not all(type(axis) is int and axis >= 0 for axis in shape):
            raise ValueError("negative or fractional axes")
    except (ValueError, SyntaxError, TypeError, KeyError, AttributeError) as error:
        raise SafetyError(f"{what} has a malformed header: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise SafetyError(f"{what} has a malformed header: nested too deep") from error
    if dtype.hasobject or dtype.kind not in PLAIN_KINDS:
        raise SafetyError(
            f"{what} has dtype {dtype}; only plain numbers and text are read",
            "object arrays hold pickles, which can run code: store numbers with numpy.savez",
        )
    offset = 8 + struct.calcsize(width) + length
    array = NpyArray(archive, name, dtype, shape, fortran, offset)
    if not shape or not math.prod(shape) or not dtype.itemsize:
        raise StepError(f"{what} has shape {list(shape)}; expected rows along its first axis")
    if len(array) * array.row_bytes != member.file_size - offset:
        raise SafetyError(
            f"{what} declares {dtype}{list(shape)}, {len(array) * array.row_bytes:,} bytes, and "
            f"holds {member.file_size - offset:,}"
        )
    if array.row_bytes > MAX_ROW:
        raise SafetyError(f"{what} has rows of {array.row_bytes:,} bytes; at most {MAX_ROW:,}")
    return array


def _exactly(stream: IO[bytes], count: int, name: str) -> bytes:
    data = stream.read(count)
    while len(data) < count:
        more = stream.read(count - len(data))
        if not more:
            raise SafetyError(f"array '{name}' ends after fewer bytes than it declares")
        data += more
    return data
