"""What a repair is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Stage = Literal[
    "after tf2onnx", "before onnx2tf", "from Keras to TFLite", "before the TFLite converter"
]


@dataclass(frozen=True)
class Repair:
    """One rewrite of an onnx.ModelProto, or of what the stage has: a loaded Keras network, a
    SavedModel's proto.

    about: what is wrong without it. source: where that is said (a specification, an issue, a file).
    applies(model): how many places it would change; the model stays as it is.
    apply(model): changes them in place, subgraphs included, and says how many.
    """

    name: str
    stage: Stage
    about: str
    source: str
    applies: Callable[[Any], int]
    apply: Callable[[Any], int]
