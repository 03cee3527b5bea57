"""Latency, memory and size of one model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from taxiway.model import Model

if TYPE_CHECKING:
    import numpy as np

    from taxiway.model.runners import Runner

PROBED = ("onnx", "tflite")


def performance(
    model: Model, runner: Runner, inputs: dict[str, np.ndarray[Any, Any]], workdir: Path
) -> dict[str, Any]:
    """Figures of `model`, loaded in `runner`: one sample of `inputs` at a time, on one thread.

    latency_p50, latency_p95: seconds. size, peak_memory: bytes. ONNX and TFLite are measured in a
    fresh process that holds only their runtime. Keras and SavedModel are measured in this process,
    because TensorFlow takes seconds to start: their peak memory is that of everything the process
    has done so far, and so an upper bound.
    """
    from taxiway.model.probe import measure, probe
    from taxiway.model.runners import runtime_of

    probed = model.format in PROBED
    measured = probe(model, inputs, workdir) if probed else measure(runner, inputs)
    return {
        "latency_p50": measured.latency_p50,
        "latency_p95": measured.latency_p95,
        "size": model.size,
        "peak_memory": measured.peak_memory,
        "runtime": runtime_of(model.format),
        "format": model.format,
    }
