"""The rule of each Keras layer and operation. One without a rule keeps the channels that go into it."""

from __future__ import annotations

from collections.abc import Callable

from taxiway.optimize.channels.keras import operations
from taxiway.optimize.channels.keras import rules_layers as layers
from taxiway.optimize.channels.keras import rules_moves as moves
from taxiway.optimize.channels.keras.node import Node
from taxiway.optimize.channels.signal import Signal

Rule = Callable[[Node], list[Signal]]

RULES: dict[str, Rule] = {
    **dict.fromkeys(operations.UNARY, moves.unary),
    **dict.fromkeys(operations.COMBINING, moves.combining),
    **dict.fromkeys(operations.CONVOLUTIONS, layers.convolution),
    **dict.fromkeys(operations.TRANSPOSED, layers.transposed),
    **dict.fromkeys(operations.DEPTHWISE, layers.depthwise),
    **dict.fromkeys(operations.SEPARABLE, layers.separable),
    **dict.fromkeys(operations.SPATIAL, moves.spatial),
    **dict.fromkeys(operations.GLOBAL_POOLS, moves.global_pool),
    **dict.fromkeys((*operations.RECURRENT, "Bidirectional"), layers.recurrent),
    **dict.fromkeys(
        ("LayerNormalization", "RMSNormalization", "UnitNormalization"), layers.normalization
    ),
    **dict.fromkeys(operations.REDUCTIONS, moves.reduction),
    "Dense": layers.dense,
    "BatchNormalization": layers.batch_normalization,
    "PReLU": layers.prelu,
    "Activation": moves.activation,
    "Concatenate": moves.concatenate,
    "Flatten": moves.flatten,
    "Permute": moves.permute,
    "RepeatVector": moves.repeat_vector,
    "Rescaling": moves.rescaling,
    "Reshape": moves.reshape,
    "Softmax": moves.softmax,
    "Transpose": moves.transpose,
}
