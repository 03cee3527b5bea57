"""A .tflite whose float32 constants are changed, without any framework."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from taxiway.model import Model
from taxiway.model.inspect import describe

Array = np.ndarray[Any, Any]


def edited(model: Model, path: Path, edit: Callable[[str, Array], Array]) -> Model:
    """`model` at `path`, each float32 constant of two axes or more as `edit(name, values)` gives it."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(model.path.read_bytes()))
    for graph in parsed.subgraphs:
        for tensor in graph.tensors:
            buffer = parsed.buffers[tensor.buffer]
            if buffer.data is None or tensor.type != schema.TensorType.FLOAT32:
                continue
            if tensor.shape is not None and len(tensor.shape) > 1:
                values = np.asarray(buffer.data, np.uint8).view("<f4").reshape(tensor.shape)
                changed = edit(tensor.name.decode(), values.copy()).astype("<f4")
                buffer.data = np.frombuffer(changed.tobytes(), np.uint8)
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(parsed))
    return describe(path, "tflite")


def pruned(model: Model, path: Path, share: float) -> Model:
    """The smallest `share` of each weight's values set to zero."""

    def cut(name: str, values: Array) -> Array:
        values[np.abs(values) < np.quantile(np.abs(values), share)] = 0
        return values

    return edited(model, path, cut)
