"""No integer stands for NaN or infinity: a tensor that holds one is named before anything is quantized."""

from __future__ import annotations

from collections.abc import Mapping

from taxiway.errors import StepError
from taxiway.optimize.quantize.operators import Operator, Precision
from taxiway.optimize.quantize.tflite.graph import FloatGraph
from taxiway.optimize.quantize.tflite.ranges import PADDING, Measured


def finite_weights(graph: FloatGraph, kept: Mapping[str, Precision], file: str) -> None:
    """Raises StepError for a constant with NaN or infinite values, of an operator that is not kept
    in float32."""
    import numpy as np

    for scoped in graph.operators:
        if kept.get(scoped.operator.name) == "float32" or scoped.operator.type == PADDING:
            continue
        for index in scoped.constants:
            values = graph.constant(index)
            if values is not None and not np.isfinite(values).all():
                found = "NaN" if np.isnan(values).any() else "infinite values"
                raise _refusal("weight", graph.name(index), found, "", scoped.operator, file)


def finite_activations(
    graph: FloatGraph, kept: Mapping[str, Precision], measured: Measured, file: str
) -> None:
    """Raises StepError for a tensor that was infinite or NaN on a sample, of an operator that is not
    kept."""
    for scoped in graph.operators:
        if scoped.operator.name in kept:
            continue
        for index in scoped.tensors:
            if index in measured.infinite:
                raise _refusal(
                    "activation",
                    graph.name(index),
                    measured.infinite[index],
                    " on a calibration sample",
                    scoped.operator,
                    file,
                )


def _refusal(
    what: str, tensor: str, found: str, when: str, operator: Operator, file: str
) -> StepError:
    return StepError(
        f"{file}: the {what} '{tensor}' of {operator.type} '{operator.name}' has {found}{when}, "
        "which no integer stands for",
        f"mend the model, or leave the operator in float32: exclude=['{operator.name}']",
    )
