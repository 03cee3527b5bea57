"""A step's cache key: everything that its result depends on, and nothing else.

Each part is kept by name, so that `plan` and `run --locked` can say which of them changed.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from taxiway.compose.inputs import location_fields
from taxiway.execute.digest import digest_json, digest_path
from taxiway.fetch import Remote, parse
from taxiway.fetch.downloads import WrongDigest
from taxiway.fetch.location import WheelFile
from taxiway.model import Format
from taxiway.model.runners import runtime_libraries
from taxiway.plugins import LICENCE, PIN, Config, Plugin, Step

NOT_INSTALLED = "not installed"
SCHEMA = 1
"""Raised when the layout of the store or the meaning of a key part changes."""


def key_of(parts: Mapping[str, Any]) -> str:
    """64 hex digits."""
    return digest_json({"schema": SCHEMA, **parts}).removeprefix("sha256:")


def parts_of(
    plugin: Plugin,
    step: Step,
    takes: Format | None,
    options: Config,
    input_fields: Sequence[tuple[str, ...]],
    inputs: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """The parts of one step's key.

    An input path is replaced by the digest of its content, a remote location by its pin, so that
    nothing is fetched for a key. `inputs`: keys of the steps whose results are used, and fingerprints
    of the data that is read.
    Raises WrongDigest where a local model has another digest than its pin.
    """
    plain: dict[str, Any] = msgspec.to_builtins(options)
    for field in step.not_in_key:
        plain.pop(field, None)
    locations = location_fields(plugin.step.Config)
    for path in input_fields:
        _replace_by_digest(plain, path, path in locations)
    parts: dict[str, Any] = {
        "plugin": f"{plugin.section}.{plugin.name}",
        "implementation": f"{type(step).__module__}:{type(step).__qualname__}",
        "revision": step.revision,
        "options": plain,
        "libraries": libraries(plugin, step, takes, options),
        "inputs": dict(inputs),
    }
    files = {file.name: digest_path(file) for file in step.files(options) if file.is_file()}
    if files:
        parts["files"] = files
    if step.seeded:
        parts["seed"] = seed
    if step.machine_dependent:
        parts["machine"] = machine()
    return parts


def libraries(plugin: Plugin, step: Step, takes: Format | None, options: Config) -> dict[str, str]:
    """The versions of the distributions that a step's result depends on."""
    names = [*step.libraries, *(runtime_libraries(takes) if step.runs_model else ())]
    names += step.distributions(options)
    if not plugin.builtin and plugin.entry.dist:
        names.append(plugin.entry.dist.name)
    return {name: _version(name) for name in sorted(set(names))}


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return NOT_INSTALLED


@cache
def machine() -> str:
    """The CPU that figures were measured on, such as `x86_64 Intel(R) Xeon(R)`."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{platform.machine()} {model}".strip()


def _replace_by_digest(options: dict[str, Any], path: Sequence[str], model: bool) -> None:
    """model: the path may be a location elsewhere, with its pin and its licence beside it."""
    for part in path[:-1]:
        options = options.get(part) or {}
    text = options.get(path[-1])
    if not isinstance(text, str):
        return
    if not model:
        options[path[-1]] = digest_path(Path(text))
        return
    pin = options.pop(PIN, None)
    options.pop(LICENCE, None)
    location = parse(text)
    if isinstance(location, Remote):
        options[path[-1]] = _pinned(location, pin)
        return
    options[path[-1]] = found = digest_path(Path(text))
    if pin and found != f"sha256:{pin}":
        raise WrongDigest(Path(text).name, pin, found.removeprefix("sha256:"))


def _pinned(location: Remote, pin: str | None) -> str:
    """What the content's digest would be; of a wheel, its digest and the path inside."""
    digest = f"sha256:{pin}"
    if isinstance(location, WheelFile):
        return digest_json({"wheel": digest, "path": location.path})
    return digest


def changes(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two mappings, one `name: old -> new` per line."""
    lines = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += changes(old, new, f"{prefix}{name}.")
        elif old != new:
            lines.append(f"{prefix}{name}: {_short(old)} -> {_short(new)}")
    return lines


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    text = text.removeprefix("sha256:")
    hexadecimal = len(text) == 64 and all(c in "0123456789abcdef" for c in text)
    return text[:12] if hexadecimal else text
