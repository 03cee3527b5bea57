"""The weights of a model file, as stored: what promises and the ledger are held against."""

from __future__ import annotations

from collections.abc import Iterator

from taxiway.errors import StepError
from taxiway.model.model import Model
from taxiway.model.weights.stored import StoredWeight

__all__ = ["StoredWeight", "parameters", "sparsity", "stored_weights"]


def stored_weights(model: Model) -> Iterator[StoredWeight]:
    """Each constant that operators compute with, one at a time, in the file's order.

    Kernels, tables, biases and the figures of normalizations; no shapes, no scales and zero points of
    quantization, no single numbers. One that several operators share comes once. Keras, SavedModel and
    torch need their framework. Raises StepError for a format whose weights are not known (sklearn).
    """
    path = model.path
    if model.format == "keras":
        from taxiway.model.weights.in_keras import keras_weights

        return keras_weights(path, model.trusted)
    if model.format == "saved_model":
        from taxiway.model.weights.in_saved_model import saved_model_weights

        return saved_model_weights(path)
    if model.format == "onnx":
        from taxiway.model.weights.in_onnx import onnx_weights

        return onnx_weights(path)
    if model.format == "tflite":
        from taxiway.model.weights.in_tflite import tflite_weights

        return tflite_weights(path)
    if model.format == "torch":
        from taxiway.model.weights.in_torch import torch_weights

        return torch_weights(path)
    raise StepError(f"the weights of a model in format {model.format} are not known")


def parameters(model: Model) -> int:
    """Numbers in all weights."""
    return sum(weight.size for weight in stored_weights(model))


def sparsity(model: Model) -> float:
    """Share of zeros in the kernels and tables, 0..1; 0 where there is none."""
    zeros, size = 0, 0
    for weight in stored_weights(model):
        if weight.is_kernel:
            zeros, size = zeros + weight.zeros(), size + weight.size
    return zeros / size if size else 0.0
