"""A second set of kernels of one runtime: the same model, other sums, to see how much rounding does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from taxiway.model.model import Model

if TYPE_CHECKING:
    from taxiway.model.runners import Runner

Kernels = Literal["fast", "plain"]
"""fast: what a runtime uses by itself. plain: without graph optimizations, without XNNPACK."""


def open_plain(model: Model, threads: int = 1) -> Runner | None:
    """Load a model with its runtime's plain kernels; None where the runtime has one set only.

    Raises StepError where the runtime cannot load it.
    """
    if model.format in ("onnx", "ort"):
        from taxiway.model.runners.onnx_runner import OnnxRunner

        return OnnxRunner(model, threads, "plain")
    if model.format == "tflite":
        from taxiway.model.runners.litert_runner import LiteRTRunner

        return LiteRTRunner(model, threads, "plain")
    return None
