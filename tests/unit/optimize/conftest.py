"""Tables in memory as datasets, and small Keras networks of many kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taxiway.errors import StepError
from taxiway.model import Model
from taxiway.plugins import Batch, Context, Selection

Array = np.ndarray[Any, Any]


@dataclass
class Table:
    """The `train` split, and others where given; keeps the sizes that were read at once."""

    inputs: Mapping[str, Array]
    labels: Array | None = None
    others: Mapping[str, Table] = field(default_factory=dict)
    class_names = None
    preprocessing: dict[str, Any] = field(default_factory=dict)
    read: list[int] = field(default_factory=list)

    @property
    def splits(self) -> tuple[str, ...]:
        return ("train", *self.others)

    def count(self, selection: Selection) -> int:
        rows = len(next(iter(self._split(selection).inputs.values())))
        return rows if selection.samples is None else min(rows, selection.samples)

    def fingerprint(self, selection: Selection) -> str:
        return "fixed"

    def batches(self, selection: Selection, size: int) -> Iterator[Batch]:
        table, count = self._split(selection), self.count(selection)
        if selection.labels and table.labels is None:
            raise StepError(f"split '{selection.split}' has no labels")
        for start in range(0, count, size):
            rows = slice(start, min(start + size, count))
            self.read.append(rows.stop - start)
            labels = table.labels[rows] if selection.labels and table.labels is not None else None
            yield Batch({name: array[rows] for name, array in table.inputs.items()}, labels)

    def _split(self, selection: Selection) -> Table:
        return self if selection.split == "train" else self.others[selection.split]


@pytest.fixture(scope="session")
def table() -> type[Table]:
    return Table


def _classes(x: Array, count: int) -> Array:
    """Labels that follow from the inputs, so that a training can learn them."""
    flat = x.reshape(len(x), -1)[:, :count]
    return np.argmax(flat, axis=1)


def build(kind: str) -> tuple[Any, dict[str, Array], Array]:
    """A network with random weights, inputs for it, and labels."""
    import keras
    from keras import layers

    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(1)
    images = rng.normal(size=(96, 8, 8, 2)).astype(np.float32)
    vectors = rng.normal(size=(96, 6)).astype(np.float32)
    steps = rng.normal(size=(96, 5, 4)).astype(np.float32)
    image, vector = keras.Input((8, 8, 2), name="image"), keras.Input((6,), name="vector")
    if kind == "residual":
        x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv1")(image)
        x = layers.ReLU()(layers.BatchNormalization(name="bn1")(x))
        y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
        y = layers.SeparableConv2D(4, 3, padding="same", name="separable")(y)
        x = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
        network = keras.Model(image, layers.Dense(3, activation="softmax", name="fc")(x))
        return network, {"image": images}, _classes(images, 3)
    if kind == "logits":
        x = layers.Dense(16, "relu", kernel_regularizer="l2", name="hidden")(vector)
        x = layers.Dropout(0.2)(x)
        network = keras.Model(vector, layers.Dense(3, name="fc")(x))
        return network, {"vector": vectors}, _classes(vectors, 3)
    if kind == "binary":
        network = keras.Sequential([vector, layers.Dense(1, activation="sigmoid", name="fc")])
        return network, {"vector": vectors}, (vectors[:, 0] > 0).astype(np.uint8)
    if kind == "regression":
        network = keras.Sequential([vector, layers.Dense(8, "tanh"), layers.Dense(1, name="fc")])
        return network, {"vector": vectors}, vectors.sum(axis=1)
    if kind == "two inputs, two outputs":
        x = layers.Concatenate()([layers.Flatten()(image), vector])
        x = layers.Dense(8, "relu", name="hidden")(x)
        outputs = {
            "class": layers.Dense(3, activation="softmax", name="class")(x),
            "size": layers.Dense(1, name="size")(x),
        }
        network = keras.Model([image, vector], outputs)
        return network, {"vector": vectors, "image": images}, _classes(vectors, 3)
    if kind == "recurrent":
        x = sequence = keras.Input((5, 4), name="steps")
        x = layers.Bidirectional(layers.GRU(4, return_sequences=True, name="gru"))(x)
        x = layers.LSTM(4, name="lstm", dropout=0.1)(x)
        network = keras.Model(sequence, layers.Dense(3, activation="softmax", name="fc")(x))
        return network, {"steps": steps}, _classes(steps, 3)
    if kind == "tokens":
        tokens = keras.Input((5,), dtype="int32", name="tokens")
        x = layers.Embedding(20, 6, mask_zero=True, name="embedding")(tokens)
        x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
        x = layers.LayerNormalization()(x)
        x = layers.GlobalAveragePooling1D()(x)
        network = keras.Model(tokens, layers.Softmax()(layers.Dense(2, name="fc")(x)))
        given = rng.integers(1, 20, (96, 5)).astype(np.int32)
        return network, {"tokens": given}, (given[:, 0] > 10).astype(np.int64)
    if kind == "fixed batch":
        fixed = keras.Input(batch_shape=(7, 6), name="vector")
        network = keras.Model(fixed, layers.Dense(3, activation="softmax", name="fc")(fixed))
        return network, {"vector": vectors}, _classes(vectors, 3)
    if kind == "nested":
        inner = keras.Sequential([keras.Input((6,)), layers.Dense(6, "relu", name="fc")], name="a")
        other = keras.Sequential([keras.Input((6,)), layers.Dense(3, name="fc")], name="b")
        scores = layers.Activation("softmax")(other(inner(vector)))
        return keras.Model(vector, scores), {"vector": vectors}, _classes(vectors, 3)
    raise ValueError(kind)


KINDS = (
    *("residual", "logits", "binary", "regression", "two inputs, two outputs", "recurrent"),
    *("tokens", "fixed batch", "nested"),
)

Made = tuple[Model, Table]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[str], Made]:
    """`saved(kind)`: a network of this kind as a file, and rows to train it on."""

    def make(kind: str) -> Made:
        from taxiway.model.inspect import describe

        network, inputs, labels = build(kind)
        path = tmp_path / "source.keras"
        network.save(path)
        return describe(path, "keras"), Table(inputs, labels)

    return make


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Context]:
    """`context(data)`: of a new work folder."""

    def make(data: Any = None, folder: str = "work", **more: Any) -> Context:
        (tmp_path / folder).mkdir(exist_ok=True)
        return Context(workdir=tmp_path / folder, seed=5, data=data, **more)

    return make
