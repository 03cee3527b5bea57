"""The members of a zip archive, judged before any is read: paths, links, doubles and bombs."""

from __future__ import annotations

import stat
import zipfile
from collections import Counter
from pathlib import PurePosixPath

MAX_MEMBERS = 10_000
MAX_SIZE = 16 * 2**30
MAX_RATIO = 200


def unsafe_members(archive: zipfile.ZipFile) -> list[str]:
    """What is wrong with the archive's directory, one line each.

    The ratio is only judged above 1 MiB: a small file may well be all zeros.
    """
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        return [f"the archive has {len(members)} members, more than {MAX_MEMBERS}"]
    found: list[str] = []
    if min((member.header_offset for member in members), default=0):
        # Readers differ in what they make of a second archive before the one at the end.
        found.append("the archive does not begin with its first member")
    doubles = Counter(member.filename.casefold() for member in members)
    found += [
        f"member '{name}' occurs {count} times" for name, count in doubles.items() if count > 1
    ]
    total = sum(member.file_size for member in members)
    if total > MAX_SIZE:
        found.append(f"the archive unpacks to {total} bytes, more than {MAX_SIZE}")
    for member in members:
        # `orig_filename`: zipfile cuts a name at its first NUL and translates separators.
        name = member.orig_filename
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or ":" in name:
            found.append(f"member {name!r} points outside the archive")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            found.append(f"member {name!r} is a link or a device")
        if member.flag_bits & 1:
            found.append(f"member {name!r} is encrypted")
        if member.file_size > 2**20 and member.file_size > MAX_RATIO * member.compress_size:
            found.append(
                f"member {name!r} unpacks to {member.file_size} bytes from {member.compress_size}"
            )
    return found
