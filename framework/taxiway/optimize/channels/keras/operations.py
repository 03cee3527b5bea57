"""Keras 3 operations by what they do with channels: classes of layers, and of `keras.ops`.

Names and meanings: https://keras.io/api/layers/ and https://keras.io/api/ops/
"""

from __future__ import annotations

ACTIVATIONS = frozenset(
    {
        *("celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu"),
        *("hard_tanh", "leaky_relu", "linear", "log_sigmoid", "mish", "relu", "relu6", "selu"),
        *("sigmoid", "silu", "soft_shrink", "softplus", "softsign", "sparse_plus"),
        *("sparse_sigmoid", "squareplus", "tanh", "tanh_shrink", "threshold"),
    }
)
"""Activation functions that work on each value by itself."""

UNARY = frozenset(
    {
        *("ActivityRegularization", "AlphaDropout", "Dropout", "ELU", "GaussianDropout"),
        *("GaussianNoise", "Identity", "LeakyReLU", "ReLU", "SpatialDropout1D"),
        *("SpatialDropout2D", "SpatialDropout3D"),
        # keras.ops
        *("Absolute", "Cast", "Celu", "Clip", "Cos", "Elu", "Erf", "Exp", "Expm1", "Gelu"),
        *("HardShrink", "HardSigmoid", "HardSilu", "HardTanh", "LeakyRelu", "Log", "Log1p"),
        *("LogSigmoid", "Negative", "Reciprocal", "Relu", "Relu6", "Round", "Rsqrt", "Selu"),
        *("Sigmoid", "Sign", "Silu", "Sin", "SoftShrink", "Softplus", "Softsign", "Sqrt"),
        *("Square", "Squareplus", "Tanh", "TanhShrink", "Threshold"),
    }
)
COMBINING = frozenset(
    {
        *("Add", "Average", "Divide", "Maximum", "Minimum", "Multiply", "Power", "Subtract"),
        *("TrueDivide",),
    }
)
"""Merging layers and operators of two arguments."""
CONVOLUTIONS = frozenset({"Conv1D", "Conv2D", "Conv3D"})
TRANSPOSED = frozenset({"Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"})
DEPTHWISE = frozenset({"DepthwiseConv1D", "DepthwiseConv2D"})
SEPARABLE = frozenset({"SeparableConv1D", "SeparableConv2D"})
POOLS = frozenset(f"{kind}Pooling{rank}D" for kind in ("Average", "Max") for rank in (1, 2, 3))
GLOBAL_POOLS = frozenset(f"Global{pool}" for pool in POOLS)
SPATIAL = POOLS | frozenset(
    f"{kind}{rank}D" for kind in ("Cropping", "UpSampling", "ZeroPadding") for rank in (1, 2, 3)
)
"""Layers that move within a channel."""
RECURRENT = frozenset({"GRU", "LSTM", "SimpleRNN"})
REDUCTIONS = frozenset({"Amax", "Amin", "Max", "Mean", "Min", "Prod", "Std", "Sum", "Var"})
"""Operators of `keras.ops` that have `axis` and `keepdims`."""
