"""The architectures that Taxiway registers: small networks that end in raw scores `[n, classes]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taxiway.errors import StepError
from taxiway.model import TensorSpec


def cnn(
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    channels: Sequence[int] = (8, 16),
    units: Sequence[int] = (32,),
    kernel: int = 3,
    dropout: float = 0.0,
) -> Any:
    """Convolutions with ReLU, each followed by max pooling, then dense layers.

    For one input `[n, height, width, channels]` or `[n, time, channels]`.
    """
    import keras

    entry, x, rank = _sampled(inputs, "cnn")
    convolution = getattr(keras.layers, f"Conv{rank}D")
    for width in channels:
        x = convolution(width, kernel, padding="same", activation="relu")(x)
        x = _halved(x, rank)
    x = keras.layers.Flatten()(x)
    for width in units:
        x = keras.layers.Dense(width, activation="relu")(x)
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    return keras.Model(entry, _scores(x, outputs))


def depthwise_cnn(
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    channels: Sequence[int] = (16, 32, 32),
    kernel: int = 3,
    dropout: float = 0.0,
) -> Any:
    """A convolution of stride 2, then separable convolutions with batch normalization, then the mean.

    After MobileNet (Howard et al. 2017): `channels` are those of each layer; where they grow, the image
    is halved. For one input `[n, height, width, channels]` or `[n, time, channels]`.
    """
    import keras

    entry, x, rank = _sampled(inputs, "depthwise_cnn")
    first, *rest = channels
    x = getattr(keras.layers, f"Conv{rank}D")(
        first, kernel, strides=2, padding="same", use_bias=False
    )(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    before = first
    for width in rest:
        strides = 2 if width > before else 1
        x = getattr(keras.layers, f"DepthwiseConv{rank}D")(
            kernel, strides=strides, padding="same", use_bias=False
        )(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = getattr(keras.layers, f"Conv{rank}D")(width, 1, use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        before = width
    x = getattr(keras.layers, f"GlobalAveragePooling{rank}D")()(x)
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    return keras.Model(entry, _scores(x, outputs))


def mlp(
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    units: Sequence[int] = (64,),
    dropout: float = 0.0,
) -> Any:
    """Dense layers with ReLU over all inputs, flattened and side by side."""
    import keras

    entries = [_entry(spec) for spec in inputs]
    flat = [keras.layers.Flatten()(entry) for entry in entries]
    x = flat[0] if len(flat) == 1 else keras.layers.Concatenate()(flat)
    for width in units:
        x = keras.layers.Dense(width, activation="relu")(x)
    if dropout:
        x = keras.layers.Dropout(dropout)(x)
    return keras.Model(entries, _scores(x, outputs))


def _entry(spec: TensorSpec) -> Any:
    import keras

    shape = [axis if isinstance(axis, int) else None for axis in spec.shape]
    return keras.Input(batch_shape=shape, dtype=spec.dtype, name=spec.name)


def _sampled(inputs: Sequence[TensorSpec], name: str) -> tuple[Any, Any, int]:
    """The input, and over how many axes a convolution goes."""
    rank = len(inputs[0].shape) - 2
    if len(inputs) != 1 or rank not in (1, 2):
        raise StepError(
            f"architecture '{name}' takes one input of images or sequences with channels; the teacher "
            f"has {', '.join(map(str, inputs))}",
            "student.architecture=mlp, or student.width",
        )
    entry = _entry(inputs[0])
    return entry, entry, rank


def _halved(x: Any, rank: int) -> Any:
    """Pooled by two along the axes that have two elements."""
    import keras

    size = tuple(1 if axis == 1 else 2 for axis in x.shape[1 : 1 + rank])
    return getattr(keras.layers, f"MaxPooling{rank}D")(size)(x)


def _scores(x: Any, outputs: Sequence[TensorSpec]) -> list[Any]:
    import keras

    for spec in outputs:
        if len(spec.shape) != 2 or not isinstance(spec.shape[1], int):
            raise StepError(
                f"the registered architectures give one row of scores per sample; the teacher has {spec}",
                "student.width, or student.file",
            )
    return [
        keras.layers.Dense(spec.shape[1], name=f"scores_{at}")(x) for at, spec in enumerate(outputs)
    ]
