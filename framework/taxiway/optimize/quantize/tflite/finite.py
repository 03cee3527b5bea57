"""NaN and Inf in a .tflite, looked for in the operators that are to be quantized."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from taxiway.optimize.operators import Precision
from taxiway.optimize.quantize.finite import check_ranges, check_weight
from taxiway.optimize.quantize.tflite.graph import FloatGraph
from taxiway.optimize.quantize.tflite.ranges import PADDING


def check_weights(graph: FloatGraph, kept: Mapping[str, Precision], file: str) -> None:
    """Raises StepError that names a constant with NaN or Inf, of an operator that does not stay float32."""
    for scoped in graph.operators:
        if kept.get(scoped.operator.name) == "float32" or scoped.operator.type == PADDING:
            continue
        for index in scoped.constants:
            values = graph.constant(index)
            if values is not None:
                check_weight(graph.name(index), values, scoped.operator.name, file)


def check_activations(
    graph: FloatGraph, kept: Mapping[str, Precision], broken: Iterable[str], file: str
) -> None:
    """Raises StepError that names the first tensor in `broken` of an operator that is not kept."""
    readers: dict[str, str] = {}
    for scoped in graph.operators:
        if scoped.operator.name not in kept:
            for index in scoped.tensors:
                readers.setdefault(graph.name(index), scoped.operator.name)
    check_ranges(broken, readers, file)
