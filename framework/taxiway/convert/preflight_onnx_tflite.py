"""Which operators of an ONNX model have no way to TensorFlow, known before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from taxiway.convert.from_onnx.converters import converted_ops
from taxiway.convert.from_onnx.lowerings import lowering
from taxiway.convert.repairs import linear_ml
from taxiway.model.operators import Operator

EXPANDED = frozenset(
    {
        "AffineGrid",
        "Attention",
        "BlackmanWindow",
        "CastLike",
        "CausalConvWithState",
        "CenterCropPad",
        "GroupNormalization",
        "LinearAttention",
        "NegativeLogLikelihoodLoss",
        "RMSNormalization",
        "RotaryEmbedding",
        "SoftmaxCrossEntropyLoss",
        "SwiGLU",
    }
)
"""Operators that onnx2tf lacks and the repair `expand_function` takes apart (onnx 1.23)."""

CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})
"""With constant conditions ONNX Runtime folds an If away, and a repair writes a Loop out; that shows only
when the graph is read."""


def missing_ops(op_counts: Mapping[Operator, int]) -> list[str]:
    """Operators that keep a model from becoming TensorFlow or TFLite, as `Op (n nodes)`, sorted.

    op_counts: what `taxiway.model.operators.onnx_operators` gives. An operator of another domain
    than ONNX's own is shown as `domain.Op`.
    """
    known = converted_ops() | EXPANDED | {"Constant", "If", "Loop"}
    missing = []
    for (domain, name), count in sorted(op_counts.items()):
        rewritten = domain == linear_ml.DOMAIN and name in linear_ml.OPERATORS
        if not rewritten and (domain or not (name in known or lowering(domain, name))):
            shown = f"{domain}.{name}" if domain else name
            missing.append(f"{shown} ({count} node{'s' if count != 1 else ''})")
    return missing
