"""What a PyTorch pickle would call, read from its opcodes: tensors in plain containers, nothing else.

`torch.load(weights_only=True)` has the same aim; this looks before any unpickler is involved, and
`torch.export.load` falls back to an unrestricted unpickler for its sample inputs.
Opcodes: the comments of Python's `pickletools`; layout of the archive: `torch.serialization`.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
import zlib
from pathlib import Path
from typing import IO

from taxiway.safety.zip_members import unsafe_members

MAX_PICKLE = 256 * 2**20
_DATA = (
    "PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE "
    "SHORT_BINSTRING EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT "
    "SETITEM SETITEMS EMPTY_SET BINPUT LONG_BINPUT BINGET LONG_BINGET BINPERSID GLOBAL REDUCE"
)
_OPCODES = frozenset(_DATA.split())
_GLOBALS = re.compile(
    r"collections OrderedDict"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|parameter)"
    r"|torch (Size|device|\w+Storage|float\d*|double|half|bfloat16|u?int\d+|long|bool"
    r"|float8_\w+|complex\d+)"
    r"|torch\.storage (Typed|Untyped)Storage"
)
_MEMBER = re.compile(
    r"data\.pkl|data/\d+|version|byteorder|\.format_version|\.storage_alignment"
    r"|\.data/(version|serialization_id)"
)
_LEGACY_PARTS = 5
"""Magic number, protocol, system, the object, the keys of its storages; then the storages follow."""


def findings(path: Path) -> list[str]:
    """What is unsafe in a state dict file (.pt, .pth, .bin), one line each; nothing is unpickled."""
    try:
        if zipfile.is_zipfile(path):
            with path.open("rb") as file:
                return archive_findings(file, instances=True)
        with path.open("rb") as file:
            for _ in range(_LEGACY_PARTS):
                found = pickle_findings(file, instances=True)
                if found:
                    return found
        return []
    except (
        *(OSError, EOFError, RuntimeError, NotImplementedError, ValueError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        return [f"it is no readable PyTorch file: {error}"]


def archive_findings(file: IO[bytes], *, instances: bool) -> list[str]:
    """What is unsafe in an archive that `torch.save` wrote.

    instances: whether a container may carry attributes (a state dict has `_metadata`).
    """
    with zipfile.ZipFile(file) as archive:
        found = unsafe_members(archive)
        if found:
            return found
        roots = {name.partition("/")[0] for name in archive.namelist()}
        if len(roots) != 1:
            return ["its members are not in one folder"]
        root = roots.pop()
        members = {name.partition("/")[2]: name for name in archive.namelist()}
        if "constants.pkl" in members or any(name.startswith("code/") for name in members):
            return ["it is a TorchScript module, which holds code"]
        unknown = [name for name in members if not _MEMBER.fullmatch(name)]
        if unknown:
            return [f"member {name!r} is no part of a state dict" for name in unknown[:10]]
        if "data.pkl" not in members:
            return [f"it has no {root}/data.pkl"]
        if archive.getinfo(members["data.pkl"]).file_size > MAX_PICKLE:
            return [f"its pickle is larger than {MAX_PICKLE >> 20} MiB"]
        with archive.open(members["data.pkl"]) as pickle:
            return pickle_findings(pickle, instances=instances)


def pickle_findings(stream: IO[bytes], *, instances: bool) -> list[str]:
    """The globals and opcodes of one pickle that are not on the list; stops behind it."""
    allowed = _OPCODES | ({"BUILD"} if instances else set())
    found: dict[str, None] = {}
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "GLOBAL":
                if not _GLOBALS.fullmatch(str(argument)):
                    found[f"it would import {str(argument).replace(' ', '.')!r}"] = None
            elif opcode.name not in allowed:
                found[f"its pickle uses {opcode.name}"] = None
    except (ValueError, MemoryError, OverflowError) as error:
        # A length beyond the end of the file asks for the memory first.
        return [f"it is no readable pickle: {error or 'a length that no file has'}"]
    return list(found)
