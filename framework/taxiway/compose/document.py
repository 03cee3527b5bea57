"""One YAML file, read through limits before OmegaConf sees a byte of it, with a mark for every value.

A recipe is data: keys that make Hydra run code or read elsewhere are refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from taxiway.compose.assets import asset
from taxiway.errors import Problem, RecipeError

MAX_BYTES = 1 << 20
MAX_NODES = 20_000
MAX_DEPTH = 40
MAX_ALIASES = 200
MAX_INTERPOLATION = 1_000
"""Characters of a text with `${...}` in it: its grammar is parsed in time that grows faster than it."""
MAX_DIGITS = 40

INSTANTIATION = frozenset({"_target_", "_partial_", "_args_", "_recursive_", "_convert_"})
_HYDRA_ALLOWED = frozenset({"sweeper", "launcher"})
_HYDRA_GROUPS = frozenset({"hydra/launcher", "hydra/sweeper"})
_PACKAGE = re.compile(r"^\s*#\s*@package[\s:]+(\S+)", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Place:
    """A position in a file (1-based) and the text of its line.

    shipped: the file belongs to the package, so that the mistake is not in it.
    """

    file: str
    line: int
    column: int
    excerpt: str
    shipped: bool = False

    def problem(self, message: str, hint: str | None = None, refused: bool = False) -> Problem:
        return Problem(message, self.file, self.line, self.column, self.excerpt, hint, refused)


@dataclass(frozen=True)
class Document:
    """A YAML file that passed the limits."""

    label: str
    text: str
    shipped: bool = False

    @cached_property
    def root(self) -> yaml.Node | None:
        node: yaml.Node | None = yaml.compose(self.text, Loader=_Loader)
        return node

    @cached_property
    def data(self) -> Any:
        """Plain data, as the very loader of OmegaConf reads it: a date, say, stays text."""
        from omegaconf._utils import get_yaml_loader

        return yaml.load(self.text, Loader=get_yaml_loader())  # noqa: S506

    def place(self, mark: Any) -> Place:
        lines = self.text.splitlines()
        excerpt = lines[mark.line] if mark.line < len(lines) else ""
        return Place(self.label, mark.line + 1, mark.column + 1, excerpt, self.shipped)

    def start(self) -> Place | None:
        """The first key."""
        return self.place(self.root.start_mark) if self.root else None

    def groups(self) -> frozenset[str]:
        """The config groups that the defaults list chooses from."""
        return frozenset(group for group, _ in self._defaults())

    def _defaults(self) -> Iterator[tuple[str, yaml.Node]]:
        root = self.root
        for key, entries in root.value if isinstance(root, yaml.MappingNode) else []:
            if key.value == "defaults" and isinstance(entries, yaml.SequenceNode):
                for entry in entries.value:
                    for name, value in entry.value if isinstance(entry, yaml.MappingNode) else []:
                        yield str(name.value).split()[-1].split("@")[0], value

    def default(self, group: str) -> Place | None:
        """The option that the defaults list chooses for a config group."""
        value = next((value for name, value in self._defaults() if name == group), None)
        return self.place(value.start_mark) if value else None

    def find(self, path: Sequence[Any], value: bool = False) -> Place | None:
        """Where `path` is written: its key, or its value where `value` asks for a scalar's place."""
        node, mark = self.root, None
        for part in path:
            if isinstance(node, yaml.MappingNode):
                for key, child in node.value:
                    if key.value == str(part):
                        node, mark = child, key.start_mark
                        break
                else:
                    return None
            elif (
                isinstance(node, yaml.SequenceNode)
                and str(part).isdigit()
                and int(part) < len(node.value)
            ):
                node = node.value[int(part)]
                mark = node.start_mark
            else:
                return None
        if mark is None or node is None:
            return None
        if value and isinstance(node, yaml.ScalarNode) and node.value:
            mark = node.start_mark
        return self.place(mark)


def read(file: Path, label: str | None = None) -> Document:
    """Read and check one YAML file.

    Raises RecipeError with every syntax error, exceeded limit, duplicate key and refused key in it.
    """
    label = label or relative(file)
    if not file.is_file():
        raise RecipeError([Problem("not a regular file", label)])
    size = file.stat().st_size
    if size > MAX_BYTES:
        message = f"the file has {size:,} bytes; a recipe has at most {MAX_BYTES:,}"
        raise RecipeError([Problem(message, label, 1, 1, refused=True)])
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise RecipeError([Problem("the file is not UTF-8 text", label, line, 1)]) from error
    document = Document(label, text, file.is_relative_to(asset("conf")))
    _limit(document)
    problems = [*_header(document), *_structure(document)]
    if problems:
        raise RecipeError(problems)
    return document


def relative(file: Path) -> str:
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def _limit(document: Document) -> None:
    """Count events, not objects: an alias bomb or deep nesting is refused before it is built."""
    depth = nodes = aliases = 0
    try:
        for event in yaml.parse(document.text, Loader=_Loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            elif isinstance(event, yaml.AliasEvent):
                aliases += 1
            nodes += isinstance(event, yaml.NodeEvent)
            tag = getattr(event, "tag", None)
            if tag:
                message = f"the tag {tag} is refused: a recipe is text, numbers, lists and mappings"
                place = document.place(event.start_mark)
                raise RecipeError([place.problem(message, refused=True)])
            for what, found, limit in (
                ("nested levels", depth, MAX_DEPTH),
                ("values", nodes, MAX_NODES),
                ("aliases", aliases, MAX_ALIASES),
            ):
                if found > limit:
                    place = document.place(event.start_mark)
                    raise RecipeError([place.problem(f"more than {limit:,} {what}", refused=True)])
    except yaml.MarkedYAMLError as error:
        raise RecipeError([_syntax(document, error)]) from error
    except yaml.YAMLError as error:
        raise RecipeError([Problem(f"not YAML: {error}", document.label, 1, 1)]) from error


def _syntax(document: Document, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    message = f"YAML syntax: {error.problem or error.context}"
    hint = f"{error.context}" if error.context and error.problem else None
    if "tab character" in message or "'\\t'" in message:
        hint = "indent with spaces, not tabs"
    if mark is None:
        return Problem(message, document.label, 1, 1, hint=hint)
    return document.place(mark).problem(message, hint)


def _structure(document: Document) -> Iterator[Problem]:
    try:
        root = document.root
    except yaml.MarkedYAMLError as error:
        yield _syntax(document, error)
        return
    if root is None:
        yield Problem("the file is empty", document.label, 1, 1)
        return
    if not isinstance(root, yaml.MappingNode):
        yield document.place(root.start_mark).problem("a recipe is a mapping: `key: value` lines")
        return
    size, depth = _expanded(root, {}, set())
    for what, found, limit in (("values", size, MAX_NODES), ("nested levels", depth, MAX_DEPTH)):
        if found > limit:
            message = f"aliases expand to more than {limit:,} {what}"
            yield document.place(root.start_mark).problem(message, refused=True)
            return
    yield from _walk(document, root, ())
    try:
        _ = document.data
    except yaml.MarkedYAMLError as error:
        # libyaml, which is fast, takes a little more than the loader of the composition.
        yield _syntax(document, error)


def _expanded(
    node: yaml.Node, known: dict[int, tuple[int, int]], open_nodes: set[int]
) -> tuple[int, int]:
    """How many values a node stands for once its aliases are expanded, and how deep they are nested;
    a cycle counts as too many."""
    if id(node) in open_nodes:
        return MAX_NODES + 1, 0
    if id(node) not in known:
        open_nodes.add(id(node))
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            children = [child for pair in children for child in pair]
        inner = [_expanded(child, known, open_nodes) for child in children]
        open_nodes.discard(id(node))
        size = 1 + sum(size for size, _ in inner)
        known[id(node)] = (
            min(size, MAX_NODES + 1),
            1 + max((depth for _, depth in inner), default=0),
        )
    return known[id(node)]


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
