"""A YAML file as text with a mark for every value, so that a mistake has a line and a column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from taxiway.errors import Problem

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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
        node: yaml.Node | None = yaml.compose(self.text, Loader=Loader)
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
