"""A composed recipe as YAML, each value with the place it was written at where asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

Origin = Callable[[tuple[str, ...]], str | None]
"""The place of the value at a path, such as `recipes/mine.yaml:12`."""


def recipe_yaml(recipe: Mapping[str, Any], origin: Origin | None = None) -> str:
    """One line a value, so that each can carry a comment; lists are in flow style."""
    lines = list(_lines(recipe, ()))
    if origin is None:
        return "".join(f"{text}\n" for text, _ in lines)
    width = max((len(text) for text, path in lines if path), default=0)
    places = [origin(path) if path else None for _, path in lines]
    return "".join(
        f"{text.ljust(width)}  # {place}\n" if place else f"{text}\n"
        for (text, _), place in zip(lines, places, strict=True)
    )


def leaves(
    node: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, value) of everything that is no mapping with keys."""
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value


def _lines(
    node: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    for key, value in node.items():
        head = f"{'  ' * len(path)}{_flow(str(key))}:"
        if isinstance(value, Mapping) and value:
            yield head, None
            yield from _lines(value, (*path, str(key)))
        else:
            yield f"{head} {_flow(value)}", (*path, str(key))


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=1_000_000, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")
