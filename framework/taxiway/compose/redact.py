"""What came from the environment is replaced by its name in everything that is printed or written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from taxiway.errors import Problem, RecipeError

Secrets = Mapping[str, str]
"""Value -> the name that stands for it, such as `${oc.env:TOKEN}`."""
_LONG = 8


def redact_text(text: str, secrets: Secrets) -> str:
    """`text` without the values; a value that holds another one goes first."""
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, secrets[value])
    return text


def redact(data: Any, secrets: Secrets) -> Any:
    """Plain data without the values, before it is encoded: an encoder escapes what a search then misses."""
    return _each(data, secrets, lambda leaf: leaf)


def redact_options(data: Any, secrets: Secrets) -> Any:
    """The same for options, where a number may come from the environment, too (`${oc.decode:...}`)."""
    return _each(data, secrets, lambda leaf: secrets.get(str(leaf), leaf))


def _each(data: Any, secrets: Secrets, other: Callable[[Any], Any]) -> Any:
    """other: what becomes of a leaf that is no text. A key keeps a short value, which may well be the
    name of a field."""
    if isinstance(data, str):
        return redact_text(data, secrets)
    if isinstance(data, Mapping):
        long = {value: name for value, name in secrets.items() if len(value) >= _LONG}
        return {redact_text(str(k), long): _each(v, secrets, other) for k, v in data.items()}
    if isinstance(data, list | tuple):
        return [_each(item, secrets, other) for item in data]
    return other(data)


def redact_problems(error: RecipeError, secrets: Secrets) -> RecipeError:
    """The same mistakes, with every quoted value replaced by its name."""

    def clean(problem: Problem) -> Problem:
        hint = redact_text(problem.hint, secrets) if problem.hint else None
        line = redact_text(problem.excerpt, secrets) if problem.excerpt else problem.excerpt
        message = redact_text(problem.message, secrets)
        return replace(problem, message=message, hint=hint, excerpt=line)

    return RecipeError(map(clean, error.problems))
