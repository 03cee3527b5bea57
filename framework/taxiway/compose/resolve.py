"""Interpolations resolved twice: for work, and for all that is written.

What is written keeps `${oc.env:NAME}` in place of an environment variable's value.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from omegaconf import Container, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

MISSING = "???"


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


def secrets(config: DictConfig) -> dict[str, str]:
    """Value -> `${oc.env:NAME}` of every environment variable that resolving reads."""
    read: dict[str, str] = {}

    def record(name: str, default: Any = None) -> Any:
        if name in os.environ:
            read[os.environ[name]] = f"${{oc.env:{name}}}"
        return os.environ.get(name, default)

    with _environment(record):
        _walk(config, (), Resolved())
    return {value: name for value, name in read.items() if len(value) >= 4}


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
