"""Quantities with units: `2 ms`, `200 KiB`, `1 pt`, `0.5 %rel`. A bare number is refused where the unit is open."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Dimension = Literal["time", "bytes", "ratio", "points", "relative"]

_UNITS: dict[str, tuple[Dimension, float]] = {
    "us": ("time", 1e-6),
    "ms": ("time", 1e-3),
    "s": ("time", 1.0),
    "min": ("time", 60.0),
    "h": ("time", 3600.0),
    "d": ("time", 86400.0),
    "B": ("bytes", 1.0),
    "KB": ("bytes", 1e3),
    "MB": ("bytes", 1e6),
    "GB": ("bytes", 1e9),
    "KiB": ("bytes", 2.0**10),
    "MiB": ("bytes", 2.0**20),
    "GiB": ("bytes", 2.0**30),
    "%": ("ratio", 0.01),
    "pt": ("points", 0.01),
    "%rel": ("relative", 0.01),
}
_QUANTITY = re.compile(r"^\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([A-Za-z%]*)\s*$")


@dataclass(frozen=True)
class Quantity:
    """`value` in SI units (seconds, bytes) or as a fraction (ratio, points, relative)."""

    value: float
    dimension: Dimension


def parse(text: str | float | int) -> Quantity:
    """Read `2 ms`, `200 KiB`, `1 pt`, `95 %` or a bare number (a ratio).

    Raises ValueError that names the units known.
    """
    if isinstance(text, bool):
        raise ValueError(f"{text!r} is not a quantity")
    if isinstance(text, int | float):
        return Quantity(float(text), "ratio")
    match = _QUANTITY.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a quantity; write a number and a unit, such as '2 ms'")
    number, unit = match.groups()
    if not unit:
        return Quantity(float(number), "ratio")
    if unit not in _UNITS:
        raise ValueError(f"unknown unit {unit!r} in {text!r}; units: {', '.join(_UNITS)}")
    dimension, factor = _UNITS[unit]
    return Quantity(float(number) * factor, dimension)


def _in(text: str, dimension: Dimension) -> float:
    quantity = parse(text)
    if quantity.dimension != dimension:
        raise ValueError(f"{text!r} is not a {dimension} quantity")
    return quantity.value


def seconds(text: str) -> float:
    """A duration in seconds."""
    return _in(text, "time")


def size_in_bytes(text: str) -> int:
    """A size in bytes."""
    return int(_in(text, "bytes"))


def show_seconds(value: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e-3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value / 1e-6:.3g} us"


def show_bytes(value: float) -> str:
    for unit, factor in (("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10)):
        if value >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value:.0f} B"
