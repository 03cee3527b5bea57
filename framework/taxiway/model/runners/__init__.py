"""One runner per runtime behind one protocol: everything that predicts goes through here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from taxiway.errors import StepError
from taxiway.model.model import Format, Model, Signature

if TYPE_CHECKING:
    import numpy as np

    Tensors = Mapping[str, np.ndarray[Any, Any]]


class Runner(Protocol):
    """A loaded model.

    `predict` takes real-valued inputs by name, each `[n, ...]` with any n, and gives real-valued
    outputs by name: a quantized input or output is (de)quantized by its scale and zero point, and
    a model with a fixed batch is fed in pieces of that size, the last one padded.
    """

    signature: Signature

    def predict(self, inputs: Tensors) -> dict[str, np.ndarray[Any, Any]]: ...


def open_runner(model: Model, threads: int = 1) -> Runner:
    """Load a model in the runtime of its format, on `threads` intra-op threads.

    Raises StepError where the runtime cannot load it.
    """
    if model.format in ("onnx", "ort"):
        from taxiway.model.runners.onnx_runner import OnnxRunner

        return OnnxRunner(model, threads)
    if model.format == "tflite":
        from taxiway.model.runners.litert_runner import LiteRTRunner

        return LiteRTRunner(model, threads)
    if model.format in ("saved_model", "keras"):
        from taxiway.model.runners.tensorflow_runner import TensorFlowRunner

        return TensorFlowRunner(model, threads)
    if model.format == "torch":
        from taxiway.model.runners.torch_runner import TorchRunner

        return TorchRunner(model, threads)
    if model.format == "sklearn":
        from taxiway.model.runners.sklearn_runner import SklearnRunner

        return SklearnRunner(model, threads)
    raise StepError(f"no runner for format '{model.format}'")


def runtime_of(format: Format) -> str:
    """The name of the runtime that executes a format, as reports show it."""
    others = {
        "onnx": "ONNX Runtime",
        "ort": "ONNX Runtime",
        "tflite": "LiteRT",
        "torch": "PyTorch",
        "sklearn": "scikit-learn",
    }
    return others.get(format, "TensorFlow")


def runtime_libraries(format: Format | None) -> tuple[str, ...]:
    """The distributions whose versions decide what a model of this format gives."""
    libraries = {
        "onnx": ("onnxruntime",),
        "ort": ("onnxruntime",),
        "tflite": ("ai-edge-litert",),
        "keras": ("tensorflow", "keras", "tf-keras"),
        "saved_model": ("tensorflow",),
        "torch": ("torch",),
        "sklearn": ("scikit-learn",),
    }
    return libraries.get(format or "", ())
