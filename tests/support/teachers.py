"""Teachers of every shape of graph that a student may be derived from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def residual() -> Any:
    """Convolutions without bias, BatchNorm, residual sums, a projection on the shortcut."""
    import keras
    from keras import layers

    x = entry = keras.Input((16, 16, 3), name="image")
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same")(x)))
    for stage, width in enumerate((16, 32)):
        for block in range(3):
            strides = 2 if stage and not block else 1
            y = layers.Conv2D(width, 3, strides, padding="same", use_bias=False)(x)
            y = layers.ReLU()(layers.BatchNormalization()(y))
            y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(y))
            short = layers.Conv2D(width, 1, strides)(x) if strides == 2 else x
            x = layers.ReLU()(layers.Add()([y, short]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(entry, layers.Dense(5, activation="softmax", name="probabilities")(x))


def depthwise() -> Any:
    """DS-CNN: separable blocks, squeeze and excitation, a MobileNet head with reshapes."""
    import keras
    from keras import layers

    x = entry = keras.Input((12, 10, 1), name="mfcc")
    x = layers.Conv2D(24, (4, 4), 2, padding="same", activation="relu")(x)
    for _ in range(4):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(24, 1, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(6, 1, activation="relu")(gate)
    x = layers.Multiply()([x, layers.Conv2D(24, 1, activation="sigmoid")(gate)])
    x = layers.SeparableConv2D(40, 3, depth_multiplier=2)(x)
    x = layers.Reshape((1, 1, 40))(layers.GlobalMaxPooling2D()(x))
    x = layers.Reshape((12,))(layers.Conv2D(12, 1)(x))
    return keras.Model(entry, layers.Softmax(name="words")(x))


def branches() -> Any:
    """Inception-like: parallel branches, concatenation, a group convolution, Flatten -> Dense."""
    import keras
    from keras import layers

    entry = keras.Input((8, 8, 2), name="image")
    a = layers.Conv2D(8, 1, activation="relu")(entry)
    b = layers.Conv2D(12, 3, padding="same", activation="relu")(entry)
    c = layers.AveragePooling2D(2, 1, padding="same")(entry)
    x = layers.Concatenate()([a, b])
    x = layers.Conv2D(16, 3, groups=4, padding="same")(x)
    x = layers.GroupNormalization(4)(x)
    x = layers.Concatenate()([x, c])
    x = layers.Dense(20, activation="relu")(layers.Flatten()(x))
    return keras.Model(entry, layers.Dense(1, activation="sigmoid", name="score")(x))


def autoencoder() -> Any:
    """The output is as the input; the middle is folded into a picture by Reshape."""
    import keras
    from keras import layers

    x = entry = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(10, 3, 2, padding="same", activation="relu")(x)
    x = layers.Dense(6)(layers.Flatten()(x))
    x = layers.Reshape((4, 4, 8))(layers.Dense(128, activation="relu")(x))
    x = layers.Conv2DTranspose(1, 3, 2, padding="same")(x)
    return keras.Model(entry, layers.Add(name="restored")([x, entry]))


def recurrent() -> Any:
    """LSTM with a start state of its own, Bidirectional, TimeDistributed; two inputs, two outputs."""
    import keras
    from keras import layers

    tokens = keras.Input((12,), dtype="int32", name="tokens")
    speaker = keras.Input((3,), name="speaker")
    x = layers.Embedding(50, 16)(tokens)
    x = layers.LayerNormalization()(layers.TimeDistributed(layers.Dense(20))(x))
    h, c = layers.Dense(24)(speaker), layers.Dense(24)(speaker)
    x = layers.LSTM(24, return_sequences=True)(x, initial_state=[h, c])
    x = layers.Bidirectional(layers.GRU(10, return_sequences=True))(x)
    each = layers.Dense(4, activation="softmax", name="tags")(x)
    whole = layers.Dense(1, name="rating")(layers.GlobalAveragePooling1D()(x))
    return keras.Model({"tokens": tokens, "speaker": speaker}, {"tags": each, "rating": whole})


def encoder() -> Any:
    """A transformer of three equal layers, with nested models and arithmetic on tensors."""
    import keras
    from keras import layers

    x = entry = keras.Input((9, 8), name="sequence")
    x = layers.Dense(16)(x)
    for _ in range(3):
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 8)(x, x))
        y = layers.Dense(16)(layers.Dense(32, activation="gelu")(x))
        x = layers.LayerNormalization()(x + y * 0.5)
    head = keras.Sequential(
        [keras.Input((9, 16)), layers.GlobalMaxPooling1D(), layers.Dense(12), layers.Dense(7)],
        name="head",
    )
    return keras.Model(entry, head(x))


def siamese() -> Any:
    """One nested network called on two inputs: its weights stay shared."""
    import keras
    from keras import layers

    tower = keras.Sequential(
        [keras.Input((6,)), layers.Dense(20, activation="relu"), layers.Dense(10)], name="tower"
    )
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    apart = layers.Subtract()([tower(a), tower(b)])
    return keras.Model([a, b], layers.Dense(1, activation="sigmoid", name="same")(apart))


def plain() -> Any:
    """Sequential, with layers that repeat and dropout."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((10,), name="x"),
            layers.Dense(32, activation="relu"),
            *(layers.Dense(32, activation="relu") for _ in range(4)),
            layers.Dropout(0.4),
            layers.Dense(3, activation="softmax", name="class"),
        ]
    )


TEACHERS: dict[str, Callable[[], Any]] = {
    make.__name__: make
    for make in (residual, depthwise, branches, autoencoder, recurrent, encoder, siamese, plain)
}
