"""Where the conversion goes among the passes, and through which formats: a search over declared formats."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from taxiway.model import Format
from taxiway.plugins import Plugin, Registry


@dataclass(frozen=True)
class Leg:
    """One step of the way: `name` is None for a hop that the recipe did not name."""

    plugin: Plugin
    name: str | None
    format: Format


@dataclass
class NoRoute(Exception):
    """Why there is no way, and at which pass (None: the conversion itself)."""

    name: str | None
    message: str
    hint: str


def hops(registry: Registry, start: Format, target: Format) -> list[Plugin] | None:
    """The shortest chain of converters from `start` to `target`; None where there is none."""
    queue: deque[tuple[Format, list[Plugin]]] = deque([(start, [])])
    seen = {start}
    while queue:
        format, path = queue.popleft()
        if format == target:
            return path
        for plugin in registry.usable("convert").values():
            produced = plugin.step.produces
            if produced and format in plugin.accepts and produced not in seen:
                seen.add(produced)
                queue.append((produced, [*path, plugin]))
    return None


def route(
    registry: Registry,
    start: Format,
    target: Format | None,
    passes: Mapping[str, Plugin],
) -> list[Leg]:
    """Passes in the recipe's order, with the conversion at the first place where every format fits.

    Raises NoRoute that names the pass which no order satisfies.
    """
    names = list(passes)
    if target is None or target == start:
        return _legs(start, names, passes)
    chain = hops(registry, start, target)
    if chain is None:
        raise NoRoute(None, f"no converter leads from {start} to {target}", _converters(registry))
    for position in range(len(names) + 1):
        before, after = names[:position], names[position:]
        if all(start in passes[n].accepts for n in before) and all(
            target in passes[n].accepts for n in after
        ):
            return [
                *_legs(start, before, passes),
                *_hops(start, chain),
                *_legs(target, after, passes),
            ]
    raise _conflict(start, target, names, passes)


def _legs(format: Format, names: Sequence[str], passes: Mapping[str, Plugin]) -> list[Leg]:
    for name in names:
        if format not in passes[name].accepts:
            accepted = ", ".join(sorted(passes[name].accepts))
            raise NoRoute(
                name,
                f"pass '{name}' works on {accepted}, but the model is {format} there",
                f"convert to one of {accepted}, or drop the pass: '~optimize.{name}'",
            )
    return [Leg(passes[name], name, format) for name in names]


def _hops(start: Format, chain: Sequence[Plugin]) -> list[Leg]:
    legs, format = [], start
    for index, plugin in enumerate(chain):
        legs.append(Leg(plugin, "convert" if index == len(chain) - 1 else None, format))
        format = plugin.step.produces or format
    return legs


def _conflict(
    start: Format, target: Format, names: Sequence[str], passes: Mapping[str, Plugin]
) -> NoRoute:
    """The first pass that fits neither side, or the first that needs to come before an earlier one."""
    converted_by = None
    for name in names:
        accepts = passes[name].accepts
        if start not in accepts and target not in accepts:
            accepted = ", ".join(sorted(accepts))
            return NoRoute(
                name,
                f"pass '{name}' works on {accepted}; the recipe goes from {start} to {target}",
                f"drop the pass: '~optimize.{name}', or convert to another format",
            )
        if start not in accepts and converted_by is None:
            converted_by = name
        elif converted_by and target not in accepts:
            return NoRoute(
                name,
                f"pass '{name}' works on {start}, but '{converted_by}' before it works on {target}",
                f"put '{name}' before '{converted_by}' in the defaults list",
            )
    return NoRoute(
        None, f"no order of the passes leads from {start} to {target}", "reorder the passes"
    )


def _converters(registry: Registry) -> str:
    edges = [
        f"{source} -> {name}"
        for name, plugin in registry.usable("convert").items()
        for source in sorted(plugin.accepts)
    ]
    return f"converters: {', '.join(edges)}"


def as_problem(error: NoRoute) -> tuple[tuple[str, ...], str, str]:
    """(path, message, hint) of a NoRoute in the recipe."""
    return (("optimize", error.name) if error.name else ("convert",)), error.message, error.hint
