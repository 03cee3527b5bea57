"""What a .keras archive notes of its ends, read as data: a student that cannot fit is told before a run."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxiway.safety.keras_config import MAX_CONFIG

_SIZES = ("units", "filters")
_PASSING = {"Activation", "Softmax", "Dropout", "Identity"}


@dataclass(frozen=True)
class Noted:
    """Shapes of the inputs, and channels of each output; None where the config does not say it."""

    inputs: tuple[tuple[int | None, ...], ...]
    outputs: tuple[int | None, ...]


def differences(student: Path, teacher: Path) -> tuple[str, ...]:
    """What a student's file has otherwise than the teacher's, such as `a student of 12 classes ...`.

    Nothing where one of them cannot be read so: the pass itself compares what it loads.
    """
    ours, theirs = noted(student), noted(teacher)
    if ours is None or theirs is None:
        return ()
    found = []
    if ours.inputs != theirs.inputs:
        found.append(
            f"a student with inputs of {_shown(ours.inputs)} (the teacher has {_shown(theirs.inputs)})"
        )
    if len(ours.outputs) != len(theirs.outputs) or any(
        a != b for a, b in zip(ours.outputs, theirs.outputs, strict=True) if a and b
    ):
        found.append(
            f"a student with outputs of {_counts(ours)} values (the teacher has {_counts(theirs)})"
        )
    return tuple(found)


def noted(path: Path) -> Noted | None:
    """The ends of a Functional or Sequential model; None for any other file. Imports no framework."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("config.json") as member:
            text = member.read(MAX_CONFIG + 1)
        config = json.loads(text)["config"] if len(text) <= MAX_CONFIG else {}
        layers = {layer["config"]["name"]: layer for layer in config["layers"]}
        if "output_layers" in config:
            inputs = [layers[name] for name in _ends(config["input_layers"])]
            outputs = [_functional(layers, name) for name in _ends(config["output_layers"])]
        else:
            inputs = [layer for layer in layers.values() if layer["class_name"] == "InputLayer"]
            outputs = [_last(list(layers.values()))]
        return Noted(
            tuple(tuple(layer["config"]["batch_shape"]) for layer in inputs), tuple(outputs)
        )
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, RecursionError):
        return None


def _ends(structure: Any) -> list[str]:
    """Names of layers in a nested structure of `[name, node, tensor]`."""
    if isinstance(structure, list) and len(structure) == 3 and isinstance(structure[0], str):
        return [structure[0]]
    parts = structure.values() if isinstance(structure, dict) else structure
    return [name for part in parts for name in _ends(part)]


def _functional(layers: dict[str, Any], name: str) -> int | None:
    for _ in range(len(layers)):
        layer = layers[name]
        if layer["class_name"] not in _PASSING:
            return _size(layer)
        name = layer["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0]
    return None


def _last(layers: list[Any]) -> int | None:
    while layers and layers[-1]["class_name"] in _PASSING:
        layers = layers[:-1]
    return _size(layers[-1]) if layers else None


def _size(layer: Any) -> int | None:
    found = [layer["config"].get(option) for option in _SIZES]
    return next((size for size in found if isinstance(size, int)), None)


def _shown(shapes: tuple[tuple[int | None, ...], ...]) -> str:
    """Such as `28 x 28 x 1`, without the batch."""
    return ", ".join(
        " x ".join("?" if axis is None else str(axis) for axis in shape[1:]) or "one value"
        for shape in shapes
    )


def _counts(ends: Noted) -> str:
    return ", ".join("?" if size is None else str(size) for size in ends.outputs)
