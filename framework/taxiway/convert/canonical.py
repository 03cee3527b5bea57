"""Makes a SavedModel's files a function of the model alone, so that they can be locked and cached.

TensorFlow numbers its functions and captures by a counter that runs through the whole process,
keeps them in no fixed order, and adds a random fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

_COUNTED = re.compile(r"^(.*_)(\d+)$")

_USER_NAME = "_user_specified_name"


def make_canonical(folder: Path) -> None:
    """Renumber the functions of the SavedModel in `folder` from 0 in the order of their creation,
    sort them, drop the numbers given to captures, and remove the fingerprint (TensorFlow loads a
    SavedModel without one)."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    file = folder / "saved_model.pb"
    proto = SavedModel.FromString(file.read_bytes())
    for graph in proto.meta_graphs:
        library = graph.graph_def.library.function
        _rename(graph, _renumbering([function.signature.name for function in library]))
        for function in library:
            for argument in function.arg_attr.values():
                if argument.attr[_USER_NAME].s.isdigit():
                    del argument.attr[_USER_NAME]
        library.sort(key=lambda function: function.signature.name)
    file.write_bytes(proto.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink(missing_ok=True)


def _renumbering(functions: list[str]) -> Callable[[str], str]:
    """Replaces the counted names wherever they occur in a text: a loop also builds the names of
    its arguments from the name of its function."""
    counted = sorted((int(m[2]), m[1], m[0]) for m in map(_COUNTED.match, functions) if m)
    renumbered = {old: f"{stem}{i}" for i, (_, stem, old) in enumerate(counted)}
    pattern = "|".join(rf"{re.escape(old)}(?!\d)" for old in renumbered) or "(?!)"
    return partial(re.compile(pattern).sub, lambda found: renumbered[found[0]])


def _rename(message: Any, renamed: Callable[[str], str]) -> None:
    """Apply `renamed` to every string in fields, lists and maps."""
    for field, value in message.ListFields():
        if field.message_type and field.message_type.GetOptions().map_entry:
            _rename_map(value, field.message_type, renamed)
        elif field.type == field.TYPE_MESSAGE:
            for child in value if field.is_repeated else [value]:
                _rename(child, renamed)
        elif field.type == field.TYPE_STRING:
            if field.is_repeated:
                value[:] = map(renamed, value)
            else:
                setattr(message, field.name, renamed(value))


def _rename_map(entries: Any, entry: Any, renamed: Callable[[str], str]) -> None:
    key_field, value_field = entry.fields_by_name["key"], entry.fields_by_name["value"]
    for key in list(entries):
        new = renamed(key) if key_field.type == key_field.TYPE_STRING else key
        if value_field.type == value_field.TYPE_MESSAGE:
            _rename(entries[key], renamed)
            if new != key:
                entries[new].CopyFrom(entries[key])
                del entries[key]
        elif value_field.type == value_field.TYPE_STRING:
            entries[new] = renamed(entries.pop(key))
