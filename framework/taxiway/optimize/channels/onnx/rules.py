"""The rule of each ONNX operator. An operator without one keeps the channels that go into it."""

from __future__ import annotations

from collections.abc import Callable

from taxiway.optimize.channels.onnx import operators
from taxiway.optimize.channels.onnx import rules_layers as layers
from taxiway.optimize.channels.onnx import rules_moves as moves
from taxiway.optimize.channels.onnx.node import Node
from taxiway.optimize.channels.signal import Signal

Rule = Callable[[Node], list[Signal]]

RULES: dict[str, Rule] = {
    **dict.fromkeys(operators.ELEMENTWISE, moves.elementwise),
    **dict.fromkeys((*operators.POOLS, *operators.GLOBAL_POOLS), moves.pool),
    **dict.fromkeys(operators.REDUCTIONS, moves.reduction),
    **dict.fromkeys(operators.RECURRENT, layers.recurrent),
    **dict.fromkeys(("Conv", "ConvTranspose"), layers.convolution),
    **dict.fromkeys(("Dropout", "CastLike"), moves.first_input),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), moves.softmax),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), layers.normalization),
    **dict.fromkeys(
        ("LpNormalization", "MeanVarianceNormalization"), moves.normalization_over_axes
    ),
    **dict.fromkeys(("Squeeze", "Unsqueeze"), moves.squeeze),
    **dict.fromkeys(("Resize", "Upsample"), moves.resize),
    "Gemm": layers.gemm,
    "MatMul": layers.matmul,
    "BatchNormalization": layers.batch_normalization,
    "InstanceNormalization": layers.instance_normalization,
    "Transpose": moves.transpose,
    "Flatten": moves.flatten,
    "Reshape": moves.reshape,
    "Concat": moves.concat,
    "Split": moves.split,
    "Slice": moves.slice_,
    "Gather": moves.gather,
    "Pad": moves.pad,
    "Expand": moves.expand,
}
