"""Where a value of a composed recipe was written: an override, the recipe, or a group file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from taxiway.compose.document import Document, Place
from taxiway.errors import Problem

LABEL = "<command line>"
"""Stands for a file's name in the place of an override."""


class Writer(Protocol):
    """Something that may have written a value: the overrides."""

    @property
    def texts(self) -> tuple[str, ...]: ...

    def find(self, path: Sequence[Any], value: bool = False) -> Place | None: ...


class NoOverrides:
    """The writer that wrote nothing."""

    texts: tuple[str, ...] = ()

    def find(self, path: Sequence[Any], value: bool = False) -> Place | None:
        return None


@dataclass(frozen=True)
class Locator:
    """`documents`: each merged file with the package it was merged under, in merge order."""

    overrides: Writer
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
