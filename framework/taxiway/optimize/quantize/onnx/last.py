"""The last of an expensive result: a fallback quantizes one model many times."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Last(Generic[T]):
    """One result, kept until another key is asked for."""

    def __init__(self) -> None:
        self._held: tuple[Hashable, T] | None = None

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        if self._held is None or self._held[0] != key:
            self._held = None
            self._held = (key, make())
        return self._held[1]
