"""Limits on YAML, counted before anything is built: no alias bomb or deep nesting reaches OmegaConf."""

from __future__ import annotations

import yaml

from taxiway.compose.document import Document, Loader
from taxiway.errors import Problem, RecipeError

MAX_BYTES = 1 << 20
MAX_NODES = 20_000
MAX_DEPTH = 40
MAX_ALIASES = 200


def check_events(document: Document) -> None:
    """Count events, not objects. Raises RecipeError where a limit is exceeded, or for a syntax error."""
    depth = nodes = aliases = 0
    try:
        for event in yaml.parse(document.text, Loader=Loader):
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
        raise RecipeError([syntax(document, error)]) from error
    except yaml.YAMLError as error:
        raise RecipeError([Problem(f"not YAML: {error}", document.label, 1, 1)]) from error


def syntax(document: Document, error: yaml.MarkedYAMLError) -> Problem:
    """A syntax error, with its place."""
    mark = error.problem_mark or error.context_mark
    message = f"YAML syntax: {error.problem or error.context}"
    hint = f"{error.context}" if error.context and error.problem else None
    if "tab character" in message or "'\\t'" in message:
        hint = "indent with spaces, not tabs"
    if mark is None:
        return Problem(message, document.label, 1, 1, hint=hint)
    return document.place(mark).problem(message, hint)


def check_expanded(document: Document, root: yaml.Node) -> Problem | None:
    """What is too large or too deep once its aliases are expanded."""
    size, depth = _expanded(root, {}, set())
    for what, found, limit in (("values", size, MAX_NODES), ("nested levels", depth, MAX_DEPTH)):
        if found > limit:
            message = f"aliases expand to more than {limit:,} {what}"
            return document.place(root.start_mark).problem(message, refused=True)
    return None


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
