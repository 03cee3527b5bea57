"""What to do about a file that a gate refused."""

from __future__ import annotations

from collections.abc import Iterable

MAX_LENGTH = 400
UNREADABLE = "is no readable"
"""How a gate says that a file is damaged rather than dangerous."""


def default_hint(findings: Iterable[str]) -> str:
    if any(UNREADABLE in finding for finding in findings):
        return "the file is damaged: copy, download or export it again"
    return "export the model again without these parts, from a machine you trust"


def shorten(finding: str) -> str:
    """A finding at a length that can be read: the names in it are of the file's own choice."""
    return finding if len(finding) <= MAX_LENGTH else f"{finding[:MAX_LENGTH]} ..."
