"""What to do about a file that a gate refused."""

from __future__ import annotations

from collections.abc import Iterable

UNREADABLE = "is no readable"
"""How a gate says that a file is damaged rather than dangerous."""


def default_hint(findings: Iterable[str]) -> str:
    if any(UNREADABLE in finding for finding in findings):
        return "the file is damaged: copy, download or export it again"
    return "export the model again without these parts, from a machine you trust"
