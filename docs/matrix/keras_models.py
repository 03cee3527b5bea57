"""Keras models and SavedModels: convolutional, recurrent, several inputs, attention, text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from matrix.models import ROWS, Samples, Specimen, normal, texts, tokens


def _cnn() -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3), name="x")
    y = layers.Conv2D(8, 3, strides=2, padding="same")(image)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu")(y)
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(16, 1, activation="swish")(y))
    return keras.Model(image, layers.Dense(5, activation="softmax", name="scores")(y))


def _two_inputs() -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    a, b = keras.Input((8,), name="a"), keras.Input((4,), name="b")
    y = layers.Concatenate()([layers.Dense(8, activation="gelu")(a), layers.Dense(8)(b)])
    return keras.Model({"a": a, "b": b}, layers.Dense(1, name="value")(y))


def _recurrent() -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    series = keras.Input((10, 4), name="x")
    y = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(series)
    return keras.Model(series, layers.Dense(2, name="value")(layers.GRU(5)(y)))


def _attention() -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    ids = keras.Input((12,), dtype="int32", name="ids")
    y = layers.Embedding(50, 16)(ids)
    y = layers.LayerNormalization()(y + layers.MultiHeadAttention(2, 8)(y, y))
    y = layers.Dense(16, activation="gelu")(y)
    return keras.Model(ids, layers.Dense(3, name="scores")(layers.GlobalAveragePooling1D()(y)))


def _text(folder: Path) -> Path:
    import tensorflow as tf

    words = tf.constant(["red", "green", "blue"])
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(words, tf.constant([0, 1, 2])), -1
    )
    module = tf.Module()
    module.table, module.weights = table, tf.Variable(np.eye(3, dtype=np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.string, "x")])
    def serve(x: Any) -> dict[str, Any]:
        return {"scores": tf.gather(module.weights, table.lookup(x)[:, 0])}

    tf.saved_model.save(module, str(folder / "saved"), {"serving_default": serve})
    return folder / "saved"


def _file(make: Any, name: str = "model.keras") -> Any:
    def write(folder: Path) -> Path:
        make().save(folder / name)
        return folder / name

    return write


def _old_h5(folder: Path) -> Path:
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [
            layers.Input((16, 16, 3), name="x"),
            layers.Conv2D(8, 3, activation="relu"),
            layers.DepthwiseConv2D(3),
            layers.GlobalMaxPooling2D(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    model.save(folder / "model.h5")
    return folder / "model.h5"


def _exported(make: Any) -> Any:
    def write(folder: Path) -> Path:
        make().export(folder / "saved", verbose=False)
        return folder / "saved"

    return write


def _pair() -> Samples:
    random = np.random.default_rng(0)
    return {
        name: random.normal(size=(ROWS, n)).astype(np.float32) for name, n in (("a", 8), ("b", 4))
    }


def specimens() -> Iterator[Specimen]:
    image, series, ids = normal(16, 16, 3), normal(10, 4), tokens("ids", dtype=np.int32)
    yield Specimen("keras", "convolutional", _file(_cnn), image)
    yield Specimen("keras", "convolutional, old .h5", _old_h5, image)
    yield Specimen("keras", "two inputs", _file(_two_inputs), _pair)
    yield Specimen("keras", "recurrent", _file(_recurrent), series)
    yield Specimen("keras", "attention", _file(_attention), ids)
    yield Specimen("saved_model", "convolutional", _exported(_cnn), image)
    yield Specimen("saved_model", "two inputs", _exported(_two_inputs), _pair)
    yield Specimen("saved_model", "recurrent", _exported(_recurrent), series)
    yield Specimen("saved_model", "text input", _text, texts)
