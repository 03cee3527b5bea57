"""Numbers of channels: which are one and the same, and which may not be cut."""

from __future__ import annotations

from typing import Any

import numpy as np

Ids = np.ndarray[Any, np.dtype[np.int64]]
"""One number for each place along an axis; the same number where a channel has several places."""


class Numbering:
    """Every channel of a network has a number; numbers that must be cut together are joined.

    A union-find over integers (Tarjan 1975).
    """

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._protected: list[tuple[Ids, str]] = []

    def __len__(self) -> int:
        return len(self._parent)

    def fresh(self, count: int) -> Ids:
        """Numbers that nothing has yet."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count, dtype=np.int64)

    def join(self, one: Ids, other: Ids) -> None:
        """The channels of two axes of one length are the same, place by place."""
        if one is other:
            return
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            a, b = self._root(a), self._root(b)
            if a != b:
                self._parent[max(a, b)] = min(a, b)

    def protect(self, ids: Ids, reason: str) -> None:
        """These channels, and all that are or will be joined with them, stay."""
        self._protected.append((ids, reason))

    def _root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def roots(self) -> Ids:
        """`[numbers]`: for each number the smallest one that it is joined with."""
        return np.array([self._root(number) for number in range(len(self))], dtype=np.int64)

    def reasons(self, roots: Ids) -> dict[int, str]:
        """Root -> the first reason why it stays, for the protected ones."""
        found: dict[int, str] = {}
        for ids, reason in self._protected:
            for root in set(roots[ids].tolist()):
                found.setdefault(root, reason)
        return found
