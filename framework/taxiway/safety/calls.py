"""Who calls whom in a model: functions and subgraphs that would never end."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def cycle(calls: Mapping[Name, Collection[Name]]) -> list[Name] | None:
    """A chain of callers that comes back to its start, such as `[0, 2, 0]`; None where none does."""
    done: set[Name] = set()
    for start in calls:
        path: list[Name] = []
        on_path: set[Name] = set()
        stack = [(start, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                path.pop()
                on_path.discard(name)
                done.add(name)
            elif name in on_path:
                return [*path[path.index(name) :], name]
            elif name not in done:
                path.append(name)
                on_path.add(name)
                stack.append((name, True))
                stack += [(callee, False) for callee in calls.get(name, ())]
    return None
