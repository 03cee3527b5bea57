"""Protobuf messages that are no ONNX model: they have no magic bytes, only their fields tell."""

from __future__ import annotations

from pathlib import Path

from taxiway.errors import StepError, TaxiwayError
from taxiway.safety.protobuf import BYTES, VARINT, Malformed, fields, opened


def _numbers(path: Path) -> tuple[set[tuple[int, int]], str | None]:
    """The top-level fields of a protobuf message, and why it ends early."""
    found: set[tuple[int, int]] = set()
    try:
        with opened(path, 100_000) as data:
            for field in fields(data):
                found.add((field.number, field.wire_type))
    except Malformed as error:
        return found, str(error)
    return found, None


def cut_off(path: Path, head: bytes) -> TaxiwayError | None:
    found, early = _numbers(path)
    if early == "field 7 runs past the end" and (1, VARINT) in found:
        return StepError(
            f"{path.name} is an ONNX model that was cut off: its graph has no end",
            "copy or download it again",
        )
    return None


def core_ml(path: Path, head: bytes) -> TaxiwayError | None:
    """Model.proto of Core ML: specificationVersion is field 1, each kind of model one from 200 on."""
    found, _ = _numbers(path)
    kinds = [number for number, wire in found if wire == BYTES and 200 <= number < 4000]
    if (1, VARINT) not in found or not kinds:
        return None
    return StepError(
        f"{path.name} is a Core ML model, which Taxiway does not read",
        "export the model it was made from to ONNX",
    )


def frozen_graph(path: Path, head: bytes) -> TaxiwayError | None:
    """GraphDef of TensorFlow: nodes in field 1, each with a name (1) and an op (2)."""
    found, early = _numbers(path)
    if early or (1, BYTES) not in found or not {number for number, _ in found} <= {1, 2, 3, 4}:
        return None
    try:
        with opened(path, 10_000) as data:
            node = next(field.data for field in fields(data) if field.number == 1)
            parts = {field.number for field in fields(node) if field.wire_type == BYTES}
    except Malformed:
        return None
    if not {1, 2} <= parts:
        return None
    return StepError(
        f"{path.name} is a frozen TensorFlow 1 graph, which does not say its inputs and outputs",
        f"python -m tf2onnx.convert --graphdef {path.name} --inputs NAME:0 --outputs NAME:0 "
        "--output model.onnx",
    )
