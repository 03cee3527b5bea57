"""What one JSON Schema error means to the person who wrote the recipe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from jsonschema.exceptions import ValidationError

from taxiway.compose.hints import nearest


class Mistake(NamedTuple):
    """at_value: the value is wrong, not the key."""

    path: tuple[Any, ...]
    message: str
    hint: str | None
    at_value: bool


_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "minLength": "of a length of at least",
    "maxLength": "of a length of at most",
    "minItems": "of at least this many items:",
    "maxItems": "of at most this many items:",
}
_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
INTERPOLATION = r"\$\{.+\}|^\?\?\?$"


def explain(error: ValidationError, shown: Any) -> Iterator[Mistake]:
    """The mistakes that one schema error stands for.

    shown: the recipe as it may be printed; a value is quoted from it, never from the environment.
    """
    path = tuple(error.absolute_path)
    where = ".".join(map(str, path)) or "the recipe"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(_schema(error).get("properties", {}))
        for key in error.instance:
            if key not in known:
                yield Mistake(
                    (*path, key), f"unknown key '{key}' in {where}", nearest(str(key), known), False
                )
    elif error.validator == "required":
        for key in _as_list(error.validator_value):
            if isinstance(error.instance, Mapping) and key not in error.instance:
                yield _missing(path, where, key, error)
    elif error.validator == "anyOf" and error.context and "x-quantity" not in _schema(error):
        yield from explain(_meant(error), shown)
    else:
        yield Mistake(
            path, f"{where} is {quote(path, shown)}; {_expected(error)}", _hint(error), True
        )


def _missing(path: tuple[Any, ...], where: str, key: str, error: ValidationError) -> Mistake:
    if key == "type" and path:
        group = f"{path[0]}: {path[1]}" if len(path) > 1 else f"{path[0]}: NAME"
        hint = f"add `- {group}` to the defaults list, or drop it with '~{where}'"
        return Mistake(path, f"{where} has options, but no plugin is chosen for it", hint, False)
    properties = _schema(error).get("properties", {})
    description = properties.get(key, {}).get("description")
    return Mistake(path, f"{where} needs '{key}'", description, False)


def _meant(error: ValidationError) -> ValidationError:
    """Of several alternatives, the one the author meant: the one that fails deepest, or fits the type."""
    kinds = {
        dict: "object",
        list: "array",
        str: "string",
        bool: "boolean",
        int: "number",
        float: "number",
    }
    kind = kinds.get(type(error.instance))

    def rank(candidate: ValidationError) -> tuple[bool, int, bool]:
        interpolation = _schema(candidate).get("pattern") == INTERPOLATION
        fits = candidate.validator != "type" or kind in _as_list(candidate.validator_value)
        return not interpolation, len(candidate.path), fits

    return max(error.context or [error], key=rank)


def _schema(error: ValidationError) -> Mapping[str, Any]:
    return error.schema if isinstance(error.schema, Mapping) else {}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def quote(path: tuple[Any, ...], shown: Any) -> str:
    """The value at `path` as the author wrote it."""
    for part in path:
        try:
            shown = shown[part]
        except (KeyError, IndexError, TypeError):
            return "not valid"
    text = repr(shown) if not isinstance(shown, bool) and shown is not None else str(shown).lower()
    return text.replace("none", "null") if len(text) <= 60 else text[:57] + "..."


def _expected(error: ValidationError) -> str:
    quantity = _schema(error).get("x-quantity")
    if quantity:
        return f"it must be {quantity}"
    if error.validator in ("enum", "const"):
        options = _as_list(error.validator_value)
        if len(options) == 1:
            return f"it must be {options[0]}"
        return f"it must be one of {', '.join(map(str, options))}"
    if error.validator == "type":
        return (
            f"it must be {' or '.join(_TYPES.get(t, t) for t in _as_list(error.validator_value))}"
        )
    if error.validator in _BOUNDS:
        return f"it must be {_BOUNDS[error.validator]} {error.validator_value}"
    if error.validator == "pattern":
        return f"it must match {error.validator_value}"
    return f"it breaks the rule {error.validator} {error.validator_value}"


def _hint(error: ValidationError) -> str | None:
    if error.validator in ("enum", "const"):
        return nearest(
            str(error.instance), [str(option) for option in _as_list(error.validator_value)]
        )
    quantity = _schema(error).get("x-quantity")
    unit = re.search(r"'[\d.]+ (\S+)'", quantity or "")
    if unit and isinstance(error.instance, int | float):
        return f"write the unit: '{error.instance} {unit[1]}'"
    description: str | None = _schema(error).get("description")
    return description
