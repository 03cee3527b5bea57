"""Where a value of a composed recipe was written: an override, the recipe, or a group file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from taxiway.compose.document import Document, Place
from taxiway.errors import Problem

LABEL = "<command line>"
"""Stands for a file's name in the place of an override."""

Documents = tuple[tuple[Document, tuple[str, ...]], ...]


class Writer(Protocol):
    """Something that may have written a value: the overrides."""

    @property
    def texts(self) -> tuple[str, ...]: ...

    def find(self, path: Sequence[Any], value: bool = False) -> Place | None: ...

    def inside(self, path: Sequence[Any]) -> Place | None: ...

    def chose(self, path: Sequence[Any]) -> Place | None: ...


class NoOverrides:
    """The writer that wrote nothing."""

    texts: tuple[str, ...] = ()

    def find(self, path: Sequence[Any], value: bool = False) -> Place | None:
        return None

    def inside(self, path: Sequence[Any]) -> Place | None:
        return None

    def chose(self, path: Sequence[Any]) -> Place | None:
        return None


@dataclass(frozen=True)
class Locator:
    """`merged` gives each merged file with the package it was merged under, in merge order.

    It is asked at the first mistake: finding out costs as much as composing.
    recipe: the label of the recipe's own file among them.
    """

    overrides: Writer
    merged: Callable[[], Documents]
    recipe: str

    @cached_property
    def documents(self) -> Documents:
        return self.merged()

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
        """Where the user can change `path`.

        That is its last writer, what chose the group that wrote it, or the mapping around it.
        """
        path = tuple(path)
        place = self.exact(path, value)
        if place and not place.shipped:
            return place
        chosen = self.overrides.chose(path) or self._chosen(path)
        while path and (place is None or place.shipped):
            place = self._around(path) or place
            path = path[:-1]
            if place and not place.shipped:
                return place
        return chosen or self._first() or place

    def _around(self, path: tuple[Any, ...]) -> Place | None:
        return self.overrides.inside(path) or (self.exact(path) if len(path) > 1 else None)

    def _chosen(self, path: Sequence[Any]) -> Place | None:
        """The entry of the defaults list that chose the group of `path`."""
        own = self._own()
        return own.default(str(path[0])) if own and path else None

    def _first(self) -> Place | None:
        own = self._own()
        return own.start() if own else None

    def _own(self) -> Document | None:
        return next((d for d, _ in self.documents if d.label == self.recipe), None)

    def problem(
        self, path: Sequence[Any], message: str, hint: str | None = None, at_value: bool = True
    ) -> Problem:
        """A mistake in the value at `path`, or in its key."""
        place = self.find(path, at_value)
        return place.problem(message, hint) if place else Problem(message, hint=hint)


def quoted_option(options: Any, message: str) -> tuple[str, ...]:
    """The path of the first option whose value the message quotes, such as 'tset'; empty where none is."""
    quoted = set(re.findall(r"'([^']+)'", message))

    def search(value: Any, path: tuple[str, ...]) -> tuple[str, ...]:
        if isinstance(value, dict):
            found = (
                search(child, (*path, str(key))) for key, child in value.items() if key != "type"
            )
            return next((each for each in found if each), ())
        return path if isinstance(value, str) and value in quoted else ()

    return search(options, ())
