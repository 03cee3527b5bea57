"""Overrides from the command line, in Hydra's grammar, checked one by one before Hydra merges them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from taxiway.compose.defaults import SEVERAL
from taxiway.compose.document import Place
from taxiway.compose.hints import nearest
from taxiway.compose.locate import LABEL
from taxiway.compose.refusals import INSTANTIATION
from taxiway.errors import Problem, RecipeError
from taxiway.plugins import SECTIONS

MAX_CHARACTERS = 10_000


def place(text: str, index: int, column: int = 1) -> Place:
    """Where override number `index` (from 0) stands: its number takes the place of a line."""
    return Place(LABEL, index + 1, column, text)


@dataclass(frozen=True)
class Overrides:
    """Checked overrides: `texts` as typed, and `hydra` in the form that Hydra merges.

    A value override is passed on as `++key=value`, so that an option which the group file leaves out
    needs no `+`; the schema then finds a wrong key and names the nearest right one. A group that is
    not among the `chosen` ones of the recipe's defaults list is added to it.
    """

    texts: tuple[str, ...]
    parsed: tuple[Override, ...]
    groups: frozenset[str]
    chosen: frozenset[str]

    @property
    def hydra(self) -> list[str]:
        pairs = zip(self.texts, self.parsed, strict=True)
        return [self._forced(text, o) for text, o in pairs if not _drops(o)]

    @property
    def dropped(self) -> frozenset[str]:
        """Sections that `~section` or `section=null` takes out, options in the recipe's body and all."""
        return frozenset(o.key_or_group for o in self.parsed if _drops(o))

    def _forced(self, text: str, override: Override) -> str:
        if override.is_delete() or override.is_add() or override.is_force_add():
            return text
        if override.key_or_group not in self.groups:
            return f"++{text}"
        known = override.key_or_group in self.chosen or "/" in override.key_or_group
        return text if known or override.value() is None else f"+{text}"

    def find(self, path: Sequence[object], value: bool = False) -> Place | None:
        """The last override that wrote `path`, or a mapping around it."""
        dotted = ".".join(map(str, path))
        pairs = list(enumerate(zip(self.texts, self.parsed, strict=True)))
        for index, (text, override) in reversed(pairs):
            key = override.package or override.key_or_group
            inside = dotted.startswith(f"{key}.") and isinstance(override.value(), dict)
            if override.key_or_group not in self.groups and (dotted == key or inside):
                return place(text, index, text.find("=") + 2 if value and "=" in text else 1)
        return None

    def inside(self, path: Sequence[object]) -> Place | None:
        """The last override that wrote something below `path`."""
        prefix = ".".join(map(str, path)) + "."
        for index, (text, override) in reversed(
            list(enumerate(zip(self.texts, self.parsed, strict=True)))
        ):
            if override.key_or_group.startswith(prefix):
                return place(text, index)
        return None

    def chose(self, path: Sequence[object]) -> Place | None:
        """The last override that chose an option of the group of `path`."""
        for index, (text, override) in reversed(
            list(enumerate(zip(self.texts, self.parsed, strict=True)))
        ):
            if path and override.key_or_group == path[0] and override.key_or_group in self.groups:
                return place(text, index, text.find("=") + 2)
        return None

    def points(self, params: Mapping[str, object]) -> list[tuple[str, ...]]:
        """The points of a sweep in the order of Hydra's basic sweeper; `params` is `hydra.sweeper.params`."""
        texts = [*(f"{key}={value}" for key, value in params.items()), *self.texts]
        axes: dict[str, list[str]] = {}
        for override in OverridesParser.create().parse_overrides(texts):
            key = override.get_key_element()
            if override.is_sweep_override():
                axes[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
            else:
                axes[key] = [f"{key}={override.get_value_element_as_str()}"]
        return list(product(*axes.values()))


def _drops(override: Override) -> bool:
    """Hydra itself drops only what the defaults list chose, and knows no `group=null`."""
    whole = override.key_or_group in SECTIONS and override.package is None
    return whole and not override.is_sweep_override() and override.value() is None


def parse(
    texts: Sequence[str],
    groups: Mapping[str, Mapping[str, Path]],
    chosen: frozenset[str],
    sweep: bool = False,
) -> Overrides:
    """Check each override by itself.

    Raises RecipeError with all of them that do not parse, choose an option that does not exist,
    set what only Taxiway may set, or sweep outside a sweep.
    """
    parser, parsed, problems = OverridesParser.create(), [], []
    names = frozenset(groups) | {"hydra/launcher", "hydra/sweeper"}
    for index, text in enumerate(texts):
        try:
            override = _parsed(parser, text)
        except (HydraException, ValueError) as error:
            reason = str(error).split("\n")[0]
            hint = "write key=value, group=option, ~key or +key=value; quote spaces: 'key=\"2 ms\"'"
            problems.append(place(text, index).problem(f"not an override: {reason}", hint))
            continue
        problems += _check(override, text, index, groups, sweep)
        parsed.append(override)
    if problems:
        raise RecipeError(problems)
    return Overrides(tuple(texts), tuple(parsed), names, chosen)


def _parsed(parser: OverridesParser, text: str) -> Override:
    """Raises HydraException or ValueError."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"it has {len(text):,} characters; at most {MAX_CHARACTERS:,}")
    try:
        return parser.parse_override(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from map(str, value)
    if isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _keys(child)


def _check(
    override: Override, text: str, index: int, groups: Mapping[str, Mapping[str, Path]], sweep: bool
) -> Iterator[Problem]:
    key, at = override.key_or_group, place(text, index)
    allowed = key.startswith(("hydra.sweeper.params", "hydra.launcher.")) or key in (
        "hydra/launcher",
        "hydra/sweeper",
    )
    into_hydra = key.split(".")[0].split("/")[0] == "hydra" and not allowed
    if (
        into_hydra
        or "hydra" in (override.package or "").split(".")
        or not INSTANTIATION.isdisjoint({*key.split("."), *_keys(override.value())})
    ):
        hint = "--config-dir adds config groups" if "searchpath" in key else None
        yield at.problem(f"'{key}' may not be set", hint, refused=True)
        return
    if override.is_sweep_override() and not sweep:
        hint = f"add --multirun to sweep, or quote one value: '{key}=\"a,b\"'"
        yield at.problem(f"'{text}' names several values", hint)
        return
    if key in groups and override.is_delete() and isinstance(override.value(), list):
        yield at.problem(f"'{text}' drops nothing", f"name what to drop: '~{key}.NAME'")
        return
    if key in groups and not override.is_delete():
        values = (
            list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
        )
        for value in values:
            for option in value if isinstance(value, list) else [value]:
                if option is None and override.is_sweep_override():
                    yield at.problem(
                        f"a sweep cannot drop {key} at one point",
                        f"run that point by itself: '~{key}'",
                    )
                if option is None or isinstance(option, dict):
                    continue
                if isinstance(value, list) and key not in SEVERAL:
                    yield at.problem(f"{key} takes one option, not a list", f"write {key}={option}")
                    break
                if ".." in str(option) or "://" in str(option) or str(option).startswith("/"):
                    yield at.problem(f"'{option}' reads outside the config folders", refused=True)
                elif str(option) not in groups[key]:
                    yield place(text, index, text.find("=") + 2).problem(
                        f"no {key} '{option}'", nearest(str(option), groups[key])
                    )
