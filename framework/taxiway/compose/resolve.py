"""Interpolations resolved twice: for work, and for all that is written.

What is written keeps `${oc.env:NAME}` in place of an environment variable's value.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from omegaconf import Container, DictConfig, ListConfig, Node, OmegaConf, ValueNode
from omegaconf.errors import OmegaConfBaseException

from taxiway.errors import Problem, RecipeError

MISSING = "???"
MAX_EVALUATIONS = 5_000
MAX_CHARACTERS = 4_000_000


@dataclass
class Resolved:
    """Plain data. `missing` and `failed` hold the paths without a value, the latter with the reason."""

    data: Any = None
    missing: list[tuple[Any, ...]] = field(default_factory=list)
    failed: list[tuple[tuple[Any, ...], str]] = field(default_factory=list)


def resolve(config: DictConfig) -> Resolved:
    """The values that work is done with."""
    result = Resolved()
    result.data = _walk(config, (), result)
    return result


def public(config: DictConfig) -> Any:
    """The same data, with the name of an environment variable in place of its value."""
    with _environment(
        lambda name, default=None: f"${{oc.env:{name}}}" if name in os.environ else default
    ):
        return _walk(config, (), Resolved())


@contextmanager
def recorded() -> Iterator[dict[str, str]]:
    """Value -> `${oc.env:NAME}` of every environment variable that is read inside the block.

    A value of less than four characters is no secret, and would be found everywhere.
    """
    from omegaconf.resolvers import oc

    read: dict[str, str] = {}

    def record(name: str, *default: Any) -> Any:
        value = os.environ.get(name, "")
        if len(value) >= 4:
            read[value] = f"${{oc.env:{name}}}"
        return oc.env(name, *default)

    with _environment(record):
        yield read


@contextmanager
def bounded() -> Iterator[None]:
    """A limit on what interpolations expand to inside the block.

    OmegaConf evaluates a reference anew wherever it stands: forty lines that each name the next one
    twice would take 2**40 evaluations. Raises RecipeError beyond the limit.
    """
    evaluate = Container._maybe_resolve_interpolation
    spent = [0, 0]

    def counted(self: Container, *args: Any, **kwargs: Any) -> Any:
        if max(spent[0] / MAX_EVALUATIONS, spent[1] / MAX_CHARACTERS) > 1:
            raise TooMuch
        value = kwargs.get("value", args[2] if len(args) > 2 else None)
        spent[0] += isinstance(value, Node) and value._is_interpolation()
        node = evaluate(self, *args, **kwargs)
        spent[1] += len(str(node._value())) if isinstance(node, ValueNode) else 0
        return node

    Container._maybe_resolve_interpolation = counted  # type: ignore[method-assign]
    try:
        yield
    except TooMuch:
        message = f"interpolations expand to more than {MAX_CHARACTERS:,} characters"
        hint = "name a value once, not through values that name others again and again"
        raise RecipeError([Problem(message, hint=hint, refused=True)]) from None
    finally:
        Container._maybe_resolve_interpolation = evaluate  # type: ignore[method-assign]


class TooMuch(BaseException):
    """Passes through OmegaConf, which makes an error of its own of every Exception."""


@contextmanager
def _environment(resolver: Callable[..., Any]) -> Iterator[None]:
    from omegaconf.resolvers import oc

    OmegaConf.register_new_resolver("oc.env", resolver, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _walk(config: Container, path: tuple[Any, ...], result: Resolved) -> Any:
    if isinstance(config, ListConfig):
        return [_value(config, index, path, result) for index in range(len(config))]
    return {str(key): _value(config, key, path, result) for key in config}


def _value(config: Any, key: Any, path: tuple[Any, ...], result: Resolved) -> Any:
    here = (*path, key)
    if OmegaConf.is_missing(config, key):
        result.missing.append(here)
        return MISSING
    try:
        value = config[key]
    except (OmegaConfBaseException, RecursionError) as error:
        result.failed.append((here, str(error).split("\n")[0] or "it refers to itself"))
        plain: Any = OmegaConf.to_container(config, resolve=False)
        return str(plain[key])
    return _walk(value, here, result) if isinstance(value, Container) else value
