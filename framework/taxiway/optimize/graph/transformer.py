"""Transformer fusions with ONNX Runtime's own optimizer of transformers.

https://onnxruntime.ai/docs/performance/transformers-optimization.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from taxiway.errors import StepError


def fuse_transformer(
    proto: Any, path: Path, architecture: str, heads: int | None, hidden_size: int | None
) -> Any:
    """The graph of `proto`, whose file is `path`, with patterns of `architecture` as operators of
    com.microsoft.

    heads, hidden_size: None where the graph shows them. Raises StepError for a model whose weights would
    have to be read whole and are larger than LARGE, and for a decoder whose sizes are not known.
    """
    import contextlib
    import sys

    import onnx
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_by_fusion

    from taxiway.model.onnx_file import LARGE, size_of
    from taxiway.optimize.graph.attention import sizes
    from taxiway.safety.onnx_model import external_files

    if external_files(proto):
        if size_of(path) > LARGE:
            raise StepError(
                f"the fusions of a transformer hold all weights in memory, and {size_of(path):,} "
                "bytes of weights are in other files",
                "optimize.fuse.transformer=none",
            )
        proto = onnx.load(str(path))
    found = sizes(proto.graph)
    given = (heads or found[0], hidden_size or found[1])
    if architecture in ("gpt2", "bart") and not all(given):
        raise StepError(
            f"the graph does not show how many heads of attention it has and how wide it is "
            f"(found {found[0] or 'no'} heads, width {found[1] or 'unknown'})",
            "optimize.fuse.heads=12 optimize.fuse.hidden_size=768, with the numbers of your model",
        )
    try:
        # It prints, and logs what it did not find.
        with contextlib.redirect_stdout(sys.stderr):
            return optimize_by_fusion(
                proto, architecture, *given, optimization_options=FusionOptions(architecture)
            ).model
    except Exception as error:
        raise StepError(
            f"ONNX Runtime cannot fuse a transformer of type {architecture}: {error}",
            "optimize.fuse.transformer=none",
        ) from error
