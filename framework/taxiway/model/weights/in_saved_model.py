"""Weights of a SavedModel: its checkpoint, and constants of its graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taxiway.model.weights.stored import StoredWeight

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_NOT_WEIGHTS = ("optimizer", "save_counter", "keras_api")


def saved_model_weights(path: Path) -> Iterator[StoredWeight]:
    """Floating variables, then floating constants of more than one number (a frozen graph).

    The file is read, no function of it runs. Reads one variable at a time.
    """
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    if (path / "variables" / "variables.index").is_file():
        reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
        types = reader.get_variable_to_dtype_map()
        for key in sorted(reader.get_variable_to_shape_map()):
            name = key.removesuffix(_VALUE)
            if types[key].is_floating and not set(_NOT_WEIGHTS) & set(name.split("/")):
                yield StoredWeight(name, _plain(reader.get_tensor(key)))
    yield from _constants(path)


def _constants(path: Path) -> Iterator[StoredWeight]:
    import tensorflow as tf
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    proto = SavedModel()
    proto.ParseFromString((path / "saved_model.pb").read_bytes())
    seen = set()
    for meta in proto.meta_graphs:
        bodies = [meta.graph_def.node]
        bodies += [function.node_def for function in meta.graph_def.library.function]
        for node in (node for body in bodies for node in body if node.op == "Const"):
            tensor = node.attr["value"].tensor
            if not tf.as_dtype(tensor.dtype).is_floating:
                continue
            content = tensor.SerializeToString(deterministic=True)
            values = tf.make_ndarray(tensor)
            # A function and its gradient or its other signature hold the same constant.
            if values.size > 1 and content not in seen:
                seen.add(content)
                yield StoredWeight(node.name, _plain(values))


def _plain(values: Any) -> Any:
    import numpy as np

    return values.astype(np.float32) if values.dtype.name == "bfloat16" else values
