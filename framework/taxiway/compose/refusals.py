"""What a recipe must not hold: a recipe is data, so keys that make Hydra run code or read elsewhere are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from taxiway.compose.document import Document
from taxiway.errors import Problem

MAX_INTERPOLATION = 1_000
"""Characters of a text with `${...}` in it: its grammar is parsed in time that grows faster than it."""
MAX_DIGITS = 40

INSTANTIATION = frozenset({"_target_", "_partial_", "_args_", "_recursive_", "_convert_"})
_HYDRA_ALLOWED = frozenset({"sweeper", "launcher"})
_HYDRA_GROUPS = frozenset({"hydra/launcher", "hydra/sweeper"})
_PACKAGE = re.compile(r"^\s*#\s*@package[\s:]+(\S+)", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def refusals(document: Document, root: yaml.Node) -> Iterator[Problem]:
    """Everything in the file that is refused, and keys that are no plain text or stand twice."""
    yield from _header(document)
    yield from _walk(document, root, ())


def _header(document: Document) -> Iterator[Problem]:
    """The `# @package` line of a group file says where its values go: not into Hydra's own."""
    match = _PACKAGE.search(document.text)
    if match and "hydra" in match[1].split("."):
        line = document.text.count("\n", 0, match.start(1)) + 1
        message = f"the package '{match[1]}' is refused: a config group sets nothing of Hydra's"
        yield Problem(message, document.label, line, 1, match[0].strip(), refused=True)


def _walk(document: Document, node: yaml.Node, path: tuple[str, ...]) -> Iterator[Problem]:
    if isinstance(node, yaml.ScalarNode):
        fault = _scalar(node)
        if fault:
            yield document.place(node.start_mark).problem(*fault)
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            if path == ("defaults",):
                yield from _default(document, child)
            yield from _walk(document, child, (*path, str(index)))
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, child in node.value:
        name = str(key.value)
        place = document.place(key.start_mark)
        if not isinstance(key, yaml.ScalarNode):
            yield place.problem("a key must be plain text")
            continue
        if name in seen:
            yield place.problem(f"'{name}' is written twice; first in line {seen[name]}")
        seen.setdefault(name, place.line)
        fault = _scalar(key)
        if fault:
            yield place.problem(*fault)
            continue
        if path == () and name == "hydra" and not isinstance(child, yaml.MappingNode):
            yield place.problem("hydra must be a mapping")
            continue
        if name in INSTANTIATION:
            yield place.problem(
                f"'{name}' is refused: a recipe is data and runs no code",
                "choose a plugin with `type:`; `taxiway list plugins` shows them",
                refused=True,
            )
            continue
        if path == ("hydra",) and name not in _HYDRA_ALLOWED:
            yield place.problem(
                f"'hydra.{name}' is refused: a recipe may set only "
                f"{' and '.join(f'hydra.{allowed}' for allowed in sorted(_HYDRA_ALLOWED))}",
                "--config-dir adds config groups" if name == "searchpath" else None,
                refused=True,
            )
            continue
        yield from _walk(document, child, (*path, name))


def _scalar(node: yaml.ScalarNode) -> tuple[str, str | None, bool] | None:
    """What is wrong with a scalar by itself: message, hint, and whether it is refused."""
    kind, text = node.tag.rsplit(":", 1)[-1], node.value
    if kind == "merge":
        return (
            "the merge key '<<' is not supported",
            "write the keys out, or use a config group",
            False,
        )
    if kind == "value":
        return "'=' has a meaning of its own in YAML", "quote it: '='", False
    if kind == "int" and len(text) > MAX_DIGITS:
        return f"a number of {len(text):,} digits is out of range", None, False
    if _CONTROL.search(text):
        return f"{text[:60]!r} holds a control character", None, False
    if "${" in text and len(text) > MAX_INTERPOLATION:
        message = f"a text with ${{...}} has at most {MAX_INTERPOLATION:,} characters"
        return message, None, True
    return None


def _default(document: Document, node: yaml.Node) -> Iterator[Problem]:
    """Entries of a defaults list stay inside the config folders."""
    pairs = [(node, node)] if isinstance(node, yaml.ScalarNode) else []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            items = value.value if isinstance(value, yaml.SequenceNode) else [value]
            pairs += [(key, item) for item in (key, *items)]
    for key, item in pairs:
        if not isinstance(item, yaml.ScalarNode):
            continue
        place = document.place(item.start_mark)
        if ".." in item.value or "://" in item.value or item.value.startswith(("/", "~")):
            message = f"'{item.value}' in the defaults list is refused: it reads outside the config folders"
            yield place.problem(message, "--config-dir adds config groups", refused=True)
        group = str(key.value).removeprefix("override ").strip()
        group, _, package = group.partition("@")
        if item is key and (
            (group.lstrip("/").startswith("hydra/") and group not in _HYDRA_GROUPS)
            or "hydra" in package.split(".")
        ):
            yield place.problem(f"'{group}' may not be set by a recipe", refused=True)
