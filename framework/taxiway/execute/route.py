"""Where the conversion goes among the passes, and by which converters: a search over declared formats."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from taxiway.model import Format
from taxiway.plugins import Plugin, Registry

MAX_HOPS = 4
MAX_PATHS = 4
"""More ways than that to one target have not been seen to help."""


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


def paths(registry: Registry, start: Format, target: Format) -> list[list[Plugin]]:
    """The chains of converters from `start` to `target`, the cheapest first; none passes a format twice.

    Where both are one format, a chain is one converter that writes it anew.
    """
    converters = sorted(registry.usable("converter").values(), key=cost_of)
    if start == target:
        return [[c] for c in converters if start in c.accepts and c.step.produces == target]
    order = count()
    queue: list[tuple[float, int, int, Format, list[Plugin]]] = [(0.0, 0, next(order), start, [])]
    found: list[list[Plugin]] = []
    while queue and len(found) < MAX_PATHS:
        cost, hops, _, format, path = heapq.heappop(queue)
        if format == target:
            found.append(path)
            continue
        if hops == MAX_HOPS:
            continue
        seen = {start, *(plugin.step.produces for plugin in path)}
        for plugin in converters:
            produced = plugin.step.produces
            if produced and format in plugin.accepts and produced not in seen:
                more = cost + cost_of(plugin)
                heapq.heappush(queue, (more, hops + 1, next(order), produced, [*path, plugin]))
    return found


def cost_of(converter: Plugin) -> float:
    return float(getattr(converter.step, "cost", 1.0))


def routes(
    registry: Registry,
    start: Format,
    target: Format | None,
    passes: Mapping[str, Plugin],
) -> list[list[Leg]]:
    """Passes in the recipe's order, with the conversion at the first place where every format fits, but
    behind the passes that can train the model there: one list of legs for each way to convert, the best
    first.

    Raises NoRoute that names the pass which no order satisfies.
    """
    names = list(passes)
    chains = paths(registry, start, target) if target else []
    if target is None or (target == start and not chains):
        return [_legs(start, names, passes)]
    if not chains:
        raise NoRoute(None, f"no converter leads from {start} to {target}", _converters(registry))
    trained = _trained(start, names, passes)
    for position in (*range(trained, len(names) + 1), *range(trained)):
        before, after = names[:position], names[position:]
        if _fits(start, before, passes) == start and _fits(target, after, passes):
            return [
                [
                    *_legs(start, before, passes),
                    *_hops(start, chain),
                    *_legs(target, after, passes),
                ]
                for chain in chains
            ]
    raise _conflict(start, target, names, passes)


def _trained(format: Format, names: Sequence[str], passes: Mapping[str, Plugin]) -> int:
    """How many passes there are up to the last one that trains a model of this format."""
    trains = [
        at
        for at, name in enumerate(names, 1)
        if format in passes[name].accepts and passes[name].implementation(format).trains
    ]
    return max(trains, default=0)


def _fits(format: Format, names: Sequence[str], passes: Mapping[str, Plugin]) -> Format | None:
    """The format after the passes; None where one of them does not take what it would get."""
    for name in names:
        if format not in passes[name].accepts:
            return None
        format = passes[name].step.produces or format
    return format


def _legs(format: Format, names: Sequence[str], passes: Mapping[str, Plugin]) -> list[Leg]:
    legs: list[Leg] = []
    for name in names:
        plugin = passes[name]
        if format not in plugin.accepts:
            accepted = ", ".join(sorted(plugin.accepts))
            made = next((leg.name for leg in legs if leg.plugin.step.produces), None)
            raise NoRoute(
                name,
                f"pass '{name}' works on {accepted}, but the model is {format} there"
                + (f", after '{made}'" if made else ""),
                f"put '{name}' before '{made}' in the defaults list"
                if made
                else f"convert to one of {accepted}, or drop the pass: '~optimize.{name}'",
            )
        legs.append(Leg(plugin, name, format))
        format = plugin.step.produces or format
    return legs


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
        elif changed := _changed_before(name, names, passes):
            return NoRoute(
                name,
                f"pass '{name}' works on {', '.join(sorted(accepts))}, but '{changed}' before it "
                f"gives {passes[changed].step.produces}",
                f"put '{name}' before '{changed}' in the defaults list",
            )
        elif converted_by and target not in accepts:
            return NoRoute(
                name,
                f"pass '{name}' works on {start}, but '{converted_by}' before it works on {target}",
                f"put '{name}' before '{converted_by}' in the defaults list",
            )
    return NoRoute(
        None, f"no order of the passes leads from {start} to {target}", "reorder the passes"
    )


def _changed_before(name: str, names: Sequence[str], passes: Mapping[str, Plugin]) -> str | None:
    """The pass before `name` that gives a format which `name` does not take."""
    return next(
        (
            earlier
            for earlier in names[: names.index(name)]
            if (passes[earlier].step.produces or "") not in {"", *passes[name].accepts}
        ),
        None,
    )


def _converters(registry: Registry) -> str:
    edges = [
        f"{source} -> {plugin.step.produces}"
        for plugin in registry.usable("converter").values()
        for source in sorted(plugin.accepts)
    ]
    return f"converters: {', '.join(edges)}"


def as_problem(error: NoRoute) -> tuple[tuple[str, ...], str, str]:
    """(path, message, hint) of a NoRoute in the recipe."""
    return (("optimize", error.name) if error.name else ("convert",)), error.message, error.hint
