"""Loads a SavedModel's serving function: the one signature that Taxiway converts and runs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxiway.errors import StepError

DEFAULTS = ("serving_default", "serve")


@dataclass(frozen=True)
class ServingFunction:
    """A signature's ConcreteFunction and the loaded object, which keeps its variables alive."""

    module: Any
    name: str
    function: Any

    @property
    def inputs(self) -> dict[str, Any]:
        """TensorSpec by input name, in natural order: the file itself keeps none."""
        return _ordered(self.function.structured_input_signature[1])

    @property
    def outputs(self) -> dict[str, Any]:
        """TensorSpec by output name, in natural order."""
        return _ordered(self.function.structured_outputs)


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Sorts `output_2` before `output_10`."""
    return [
        (part.isdigit(), int(part) if part.isdigit() else 0, part)
        for part in re.split(r"(\d+)", name)
    ]


def _ordered(specs: dict[str, Any]) -> dict[str, Any]:
    return {name: specs[name] for name in sorted(specs, key=natural_key)}


def choose_signature(names: Iterable[str], wanted: str | None = None) -> str:
    """`wanted`, else `serving_default`, else `serve`, else the only one.

    Raises StepError that lists the signatures there are.
    """
    known = sorted(name for name in names if not name.startswith("__"))
    candidates: tuple[str, ...] = (
        (wanted,) if wanted else (*DEFAULTS, *(known if len(known) == 1 else ()))
    )
    for name in candidates:
        if name in known:
            return name
    listed = ", ".join(known) or "none"
    if wanted:
        raise StepError(f"the SavedModel has no signature '{wanted}'; it has: {listed}")
    raise StepError(
        f"the SavedModel has no serving_default signature; it has: {listed}",
        f"source.signature={known[0]}" if known else "export it with model.export(folder)",
    )


def load_saved_model(path: Path, signature: str | None = None) -> ServingFunction:
    """Load the `serve` graph (else the only one) and pick a signature.

    Raises StepError where TensorFlow cannot load it or the signature is missing.
    """
    import tensorflow as tf

    try:
        try:
            module = tf.saved_model.load(str(path), tags=["serve"])
        except (RuntimeError, ValueError):
            module = tf.saved_model.load(str(path))
    except Exception as error:
        raise StepError(f"TensorFlow cannot load the SavedModel {path.name}: {error}") from error
    name = choose_signature(module.signatures, signature)
    return ServingFunction(module, name, module.signatures[name])


def signature_name(path: Path) -> str:
    """The signature that is served, without loading anything. Raises StepError where there is none."""
    return _noted(path)[0]


def read_signature(path: Path) -> Any:
    """The SignatureDef that is served, without loading anything.

    Raises StepError where there is none, or where a tensor of it is no plain one.
    """
    name, signature = _noted(path)
    for tensor_name, info in (*signature.inputs.items(), *signature.outputs.items()):
        if info.WhichOneof("encoding") not in ("name", None):
            raise StepError(f"'{tensor_name}' of the signature '{name}' is no plain tensor")
    return signature


def _noted(path: Path) -> tuple[str, Any]:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    try:
        graphs = SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs
    except (OSError, DecodeError) as error:
        raise StepError(f"{path.name} is no readable SavedModel: {error}") from error
    serving = [graph for graph in graphs if "serve" in graph.meta_info_def.tags] or list(graphs)
    signatures = serving[0].signature_def if serving else {}
    name = choose_signature(signatures)
    return name, signatures[name]
