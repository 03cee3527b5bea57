"""Which integer tensors of an ONNX graph stand for real numbers, and by which scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Constant = Callable[[str], Array | None]

_KEEPS = {
    "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze", "DepthToSpace", "SpaceToDepth",
}  # fmt: skip
"""Operators that move elements and leave them as they are."""
_OUTPUT_SCALE = {
    "QuantizeLinear": (1, 2),
    "QLinearConv": (6, 7),
    "QLinearMatMul": (6, 7),
    "QGemm": (7, 8),
    "QLinearAdd": (6, 7),
    "QLinearMul": (6, 7),
    "QLinearSigmoid": (3, 4),
    "QLinearLeakyRelu": (3, 4),
    "QLinearAveragePool": (3, 4),
    "QLinearGlobalAveragePool": (3, 4),
    "QLinearSoftmax": (3, 4),
    "QLinearConcat": (0, 1),
    "QLinearReduceMean": (3, 4),
    "QLinearWhere": (7, 8),
}
"""Inputs with the scale and the zero point of the output: QuantizeLinear and the rest of
https://onnx.ai/onnx/operators/, and ONNX Runtime's docs/ContribOperators.md."""


class Affine(NamedTuple):
    """real = scale * (stored - zero_point); scalars."""

    scale: float
    zero_point: int
    dtype: np.dtype[Any]

    def store(self, value: Array) -> Array:
        limits = np.iinfo(self.dtype)
        steps = np.rint(np.asarray(value, np.float64) / self.scale) + self.zero_point
        return steps.clip(limits.min, limits.max).astype(self.dtype)

    def restore(self, value: Array) -> Array:
        return ((value.astype(np.float32) - self.zero_point) * np.float32(self.scale)).astype(
            np.float32
        )


def scales_of(nodes: Sequence[Any], constant: Constant) -> dict[str, Affine]:
    """The quantization of every computed tensor with one constant scale."""
    found: dict[str, Affine] = {}
    for node in nodes:
        places = _OUTPUT_SCALE.get(node.op_type)
        if places:
            affine = _affine(node, places, constant)
            if affine is not None:
                found[node.output[0]] = affine
        elif node.op_type in _KEEPS and node.input and node.input[0] in found:
            found |= dict.fromkeys(filter(None, node.output), found[node.input[0]])
    return found


def _affine(node: Any, places: tuple[int, int], constant: Constant) -> Affine | None:
    if len(node.input) <= places[0]:
        return None
    scale = constant(node.input[places[0]])
    name = node.input[places[1]] if len(node.input) > places[1] else ""
    zero_point = constant(name) if name else np.uint8(0)
    if scale is None or zero_point is None or np.size(scale) != 1 or np.size(zero_point) != 1:
        return None
    dtype = np.asarray(zero_point).dtype
    if dtype.kind not in "iu" or not float(np.ravel(scale)[0]) > 0:
        return None
    return Affine(float(np.ravel(scale)[0]), int(np.ravel(zero_point)[0]), dtype)
