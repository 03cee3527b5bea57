"""What a recipe says of itself, read from its text: listing and completion need no Hydra."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_MAX_CHARACTERS = 65_536
_ENTRY = re.compile(r"^(\s*)-\s*(?:override\s+)?/?([\w/-]+)(?:@[\w.]+)?\s*(?::\s*(.*))?$")


@dataclass(frozen=True)
class Outline:
    """The first comment line, and the options that the defaults list chooses in each group."""

    description: str
    chosen: dict[str, tuple[str, ...]]

    def first(self, group: str) -> str | None:
        return next(iter(self.chosen.get(group, ())), None)


def is_recipe(file: Path) -> bool:
    """Whether the file has a defaults list, as only a recipe does."""
    return re.search(r"^defaults:", _read(file), re.MULTILINE) is not None


def outline(file: Path) -> Outline:
    """The outline of a recipe; what is not written plainly in its text is left out."""
    lines = _read(file).splitlines()
    comments = [line.lstrip("# ").strip() for line in lines if line.startswith("#")]
    notes = (line for line in comments if line and not line.startswith("yaml-language-server:"))
    return Outline(next(notes, ""), _defaults(lines))


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as stream:
            return stream.read(_MAX_CHARACTERS)
    except OSError:
        return ""


def _defaults(lines: list[str]) -> dict[str, tuple[str, ...]]:
    """`- GROUP: OPTION`, `- GROUP: [A, B]`, or `- GROUP:` with one `- OPTION` a line below it."""
    chosen: dict[str, tuple[str, ...]] = {}
    inside, open_group, depth = False, "", 0
    for line in (text.split(" #")[0].rstrip() for text in lines):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not line[0].isspace() and line[0] != "-":
            inside = line.startswith("defaults:")
            continue
        match = _ENTRY.match(line) if inside else None
        if match is None:
            continue
        indent, name, value = len(match[1]), match[2], match[3]
        if value is None:
            if open_group and indent > depth:
                chosen[open_group] = (*chosen[open_group], name)
            continue
        options = tuple(part.strip(" '\"") for part in value.strip("[] ").split(","))
        chosen[name] = tuple(option for option in options if option and option != "null")
        open_group, depth = ("" if value else name), indent
    return chosen
