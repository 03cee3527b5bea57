"""Real numbers of 64 bits are computed in 32."""

from __future__ import annotations

from typing import Any

from taxiway.convert.repairs.repair import Repair
from taxiway.convert.repairs.retype import retype, tensors_of

_FLOAT, _OLD = 1, 11
"""onnx.TensorProto.FLOAT and DOUBLE."""


def applies(model: Any) -> int:
    return tensors_of(model, _OLD)


def apply(model: Any) -> int:
    return retype(model, _OLD, _FLOAT)


REPAIR = Repair(
    name="float64_compute",
    stage="before onnx2tf",
    about="TFLite has no float64 arithmetic; the graph computes in float32, to 7 digits in place of "
    "15, and inputs and outputs stay float64.",
    source="https://ai.google.dev/edge/litert/models/ops_compatibility",
    applies=applies,
    apply=apply,
)
