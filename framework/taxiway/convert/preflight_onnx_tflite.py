"""Which operators of an ONNX model have no way to TensorFlow, known before anything heavy is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from taxiway.convert.from_onnx.lowerings import lowering
from taxiway.errors import PluginError
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


_NO_TENSORS = re.compile("(?<!Reverse)Sequence|Optional")
"""onnx2tf keeps sequences and optional values as Python lists, which no TensorFlow graph takes."""


@cache
def converted_ops() -> frozenset[str]:
    """Operators that the installed onnx2tf has a converter for: a module each in `onnx2tf/ops`.

    onnx2tf itself is not imported. Raises PluginError where it is not installed.
    """
    spec = find_spec("onnx2tf")
    folders = (spec.submodule_search_locations or []) if spec else []
    names = {file.stem for folder in folders for file in Path(folder, "ops").glob("*.py")}
    if not names:
        raise PluginError("onnx2tf is not installed", "pip install 'taxiway[tensorflow]'")
    tensors_only = (n for n in names if not (n.startswith("_") or _NO_TENSORS.search(n)))
    return frozenset(tensors_only) - {"Input", "StringNormalizer"}


def missing_ops(op_counts: Mapping[Operator, int]) -> list[str]:
    """Operators that keep a model from becoming TensorFlow or TFLite, as `Op (n nodes)`, sorted.

    op_counts: what `taxiway.model.operators.onnx_operators` gives. An operator of another domain
    than ONNX's own is shown as `domain.Op`.
    """
    known = converted_ops() | EXPANDED | {"Constant", "If", "Loop"}
    missing = []
    for (domain, name), count in sorted(op_counts.items()):
        if domain or not (name in known or lowering(domain, name)):
            shown = f"{domain}.{name}" if domain else name
            missing.append(f"{shown} ({count} node{'s' if count != 1 else ''})")
    return missing
