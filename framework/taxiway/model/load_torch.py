"""Loads a torch.export program after the static safety gate, and names its tensors and free axes."""

from __future__ import annotations

import importlib
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxiway import safety
from taxiway.errors import StepError
from taxiway.model.model import Signature, TensorSpec

AXES = "taxiway_axes.json"
"""Member of the archive that keeps the names of free axes: symbol -> name. torch.export keeps none."""


@dataclass(frozen=True)
class Program:
    """A loaded `torch.export.ExportedProgram`.

    outputs: where the tensors are among the flat results, in the signature's order.
    axes: symbol -> name of a free axis, as in the signature.
    """

    exported: Any
    signature: Signature
    outputs: tuple[int, ...]
    axes: dict[str, str]


def load_torch(path: Path) -> Program:
    """The program in a .pt2 file.

    Inputs are named as the arguments of `forward`, outputs by the keys of a dict result, else
    `output` or `output_N`. A free axis keeps the name that Taxiway stored, else it is called `batch`
    (axis 0) or `dim_N`. Raises SafetyError before the loader runs, StepError where it fails.
    """
    safety.check(path, "torch")
    import torch

    kept = {AXES: ""}
    try:
        if "transformers." in _specification(path):
            # Its classes of outputs are known to PyTorch once they are imported.
            importlib.import_module("transformers.modeling_outputs")
        exported = torch.export.load(str(path), extra_files=kept)
    except ImportError:
        raise
    except Exception as error:
        raise StepError(
            f"PyTorch {torch.__version__} cannot load {path.name}: {first_line(error)}",
            "export the model again with the torch that is installed here",
        ) from error
    return described(exported, path.name, json.loads(kept[AXES] or "{}"))


def described(exported: Any, name: str, axes: dict[str, str]) -> Program:
    """The signature of an exported program. Raises StepError for inputs or outputs without a tensor.

    axes: names that are known already, by symbol.
    """
    placeholders = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    given = exported.graph_signature.user_inputs
    values = []
    for argument in given:
        value = placeholders[argument].meta.get("val") if argument in placeholders else argument
        if not hasattr(value, "shape"):
            raise StepError(
                f"input '{argument}' of {name} is no tensor",
                "export the model with tensors alone; make numbers and flags attributes of the module",
            )
        values.append(value)
    names = dict(axes)
    inputs = tuple(
        _spec(argument, value, names) for argument, value in zip(given, values, strict=True)
    )
    results = _results(exported, taken={spec.name for spec in inputs})
    outputs = tuple(_spec(label, value, names, given=False) for _, label, value in results)
    if not inputs or not outputs:
        raise StepError(
            f"{name} has {len(inputs)} inputs and {len(outputs)} outputs that are tensors"
        )
    return Program(
        exported,
        Signature(inputs=inputs, outputs=outputs),
        tuple(position for position, _, _ in results),
        names,
    )


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type."""
    return next((line for line in str(error).splitlines() if line.strip()), repr(error)).strip()


def _specification(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        member = next(n for n in archive.namelist() if n.endswith("/models/model.json"))
        graph = json.loads(archive.read(member))["graph_module"]
    calls = (entry.get("signature") or {} for entry in graph["module_call_graph"])
    return " ".join(str(call.get(side)) for call in calls for side in ("in_spec", "out_spec"))


def _spec(name: str, value: Any, axes: dict[str, str], *, given: bool = True) -> TensorSpec:
    """The spec of a fake tensor; a symbol that has no name yet gets one, in `axes`.

    given: it is an input, whose first axis is the batch; an output's own size depends on values.
    """
    shape: list[int | str] = []
    for at, size in enumerate(value.shape):
        symbol = str(size)
        if symbol.isdigit():
            shape.append(int(symbol))
            continue
        if symbol not in axes and symbol.isidentifier():
            plain = "batch" if at == 0 and given else f"dim_{at}"
            free = given and plain not in axes.values()
            axes[symbol] = plain if free else f"{name}_{plain}"
        shape.append(axes.get(symbol) or _renamed(symbol, axes))
    return TensorSpec(name=name, dtype=str(value.dtype).removeprefix("torch."), shape=tuple(shape))


def _renamed(expression: str, axes: dict[str, str]) -> str:
    """A size computed from free axes, such as `2*sequence`."""
    return re.sub(r"[A-Za-z_]\w*", lambda match: axes.get(match[0], match[0]), expression)


def _results(exported: Any, taken: set[str]) -> list[tuple[int, str, Any]]:
    """(position among the flat results, name, fake tensor) of every tensor that the program gives;
    no name of `taken` is given."""
    values = {
        node.name: node.meta.get("val") for node in exported.graph.nodes if node.op != "output"
    }
    flat = exported.graph_signature.user_outputs
    labels = list(_labels(exported.call_spec.out_spec, ""))
    results = []
    for position, (argument, label) in enumerate(zip(flat, labels, strict=True)):
        value = values.get(argument) if isinstance(argument, str) else None
        if hasattr(value, "shape"):
            results.append((position, label, value))
    return [(p, _free_name(label, taken), value) for p, label, value in results]


def _free_name(label: str, taken: set[str]) -> str:
    """A name for an output that no input and no earlier output has; `taken` grows."""
    name = f"output_{label}" if label[:1].isdigit() else label or "output"
    while name in taken:
        name += "_out"
    taken.add(name)
    return name


def _labels(spec: Any, prefix: str) -> Iterator[str]:
    """The path of each leaf of a tree specification, joined by underscores."""
    if spec.is_leaf():
        yield prefix
        return
    children = spec.children()
    keys = spec.context if isinstance(spec.context, list) else range(len(children))
    if len(keys) != len(children):
        keys = range(len(children))
    for key, child in zip(keys, children, strict=True):
        yield from _labels(child, f"{prefix}_{key}" if prefix else str(key))
