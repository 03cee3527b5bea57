"""Where a value of a composed recipe was written: an override, the recipe, or a group file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from taxiway.compose.document import Document, Place
from taxiway.compose.overrides import Overrides
from taxiway.errors import Problem


@dataclass(frozen=True)
class Locator:
    """`documents`: each merged file with the package it was merged under, in merge order."""

    overrides: Overrides
    documents: tuple[tuple[Document, tuple[str, ...]], ...]

    def exact(self, path: Sequence[Any], value: bool = False) -> Place | None:
        """The last writer of `path` itself."""
        place = self.overrides.find(path, value)
        if place:
            return place
        for document, package in reversed(self.documents):
            if tuple(map(str, path[: len(package)])) == package:
                place = document.find(path[len(package) :], value)
                if place:
                    return place
        return None

    def find(self, path: Sequence[Any], value: bool = False) -> Place | None:
        """The last writer of `path`, or of the nearest mapping around it."""
        path = tuple(path)
        place = self.exact(path, value)
        while place is None and path:
            path = path[:-1]
            place = self.exact(path)
        return place or (self.documents[-1][0].find(("name",)) if self.documents else None)

    def problem(
        self, path: Sequence[Any], message: str, hint: str | None = None, at_value: bool = True
    ) -> Problem:
        """A mistake in the value at `path`, or in its key."""
        place = self.find(path, at_value)
        return place.problem(message, hint) if place else Problem(message, hint=hint)
