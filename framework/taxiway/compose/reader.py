"""Reads a YAML file through limits and refusals, before OmegaConf sees a byte of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from taxiway.compose.assets import asset
from taxiway.compose.document import Document
from taxiway.compose.limits import MAX_BYTES, check_events, check_expanded, syntax
from taxiway.compose.refusals import refusals
from taxiway.errors import Problem, RecipeError


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
    check_events(document)
    problems = list(_structure(document))
    if problems:
        raise RecipeError(problems)
    return document


def relative(file: Path) -> str:
    """A path as short as it can be written from the working folder."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def _structure(document: Document) -> Iterator[Problem]:
    try:
        root = document.root
    except yaml.MarkedYAMLError as error:
        yield syntax(document, error)
        return
    if root is None:
        yield Problem("the file is empty", document.label, 1, 1)
        return
    if not isinstance(root, yaml.MappingNode):
        yield document.place(root.start_mark).problem("a recipe is a mapping: `key: value` lines")
        return
    too_much = check_expanded(document, root)
    if too_much:
        yield too_much
        return
    refused = list(refusals(document, root))
    yield from refused
    if refused:
        return
    try:
        _ = document.data
    except yaml.MarkedYAMLError as error:
        # libyaml, which is fast, takes a little more than the loader of the composition.
        yield syntax(document, error)
