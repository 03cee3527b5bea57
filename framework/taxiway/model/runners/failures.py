"""What a runtime's failure is: a model that cannot run, or one that asks for more memory than there is."""

from __future__ import annotations

from taxiway.errors import StepError, WorkerError

_NO_MEMORY = (
    *("Failed to allocate memory", "bad_alloc", "OOM when allocating", "Cannot allocate memory"),
    *("Failed to allocate", "out of memory", "ResourceExhausted", "BytesRequired number of bytes"),
)
"""How ONNX Runtime, TensorFlow, LiteRT and C++ say that there is no memory left."""


def failure(what: str, error: Exception) -> StepError:
    """A WorkerError where the runtime ran out of memory, else a StepError."""
    text = str(error)
    if isinstance(error, MemoryError) or any(sign in text for sign in _NO_MEMORY):
        return WorkerError(
            f"{what}: out of memory: {text}",
            "the model asks for it: use smaller inputs, or raise the limit: limits.memory='16 GiB'",
        )
    return StepError(f"{what}: {text}")
