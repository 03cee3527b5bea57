"""Real numbers of 16 bits are computed in 32."""

from __future__ import annotations

from typing import Any

from taxiway.convert.repairs.repair import Repair
from taxiway.convert.repairs.retype import retype, tensors_of

_FLOAT, _OLD = 1, 10
"""onnx.TensorProto.FLOAT and FLOAT16."""


def applies(model: Any) -> int:
    return tensors_of(model, _OLD)


def apply(model: Any) -> int:
    return retype(model, _OLD, _FLOAT)


REPAIR = Repair(
    name="float16_compute",
    stage="before onnx2tf",
    about="TFLite has no float16 arithmetic; the graph computes in float32, which holds every float16, "
    "and inputs and outputs stay float16.",
    source="https://ai.google.dev/edge/litert/models/ops_compatibility; "
    "onnx2tf/ops/Input.py (1.28.8) turns float16 inputs into float32, too",
    applies=applies,
    apply=apply,
)
