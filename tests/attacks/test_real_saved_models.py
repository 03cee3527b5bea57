"""What TensorFlow's own exporters write passes the gate: an allow-list that is too short is of no use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxiway import safety

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tf() -> Any:
    import tensorflow

    return tensorflow


def stft(tf: Any, x: Any) -> Any:
    spectrum = tf.abs(tf.signal.stft(x, 128, 64))
    mel = tf.tensordot(spectrum, tf.signal.linear_to_mel_weight_matrix(20, 65), 1)
    return tf.signal.mfccs_from_log_mel_spectrograms(tf.math.log(mel + 1e-6))


def image(tf: Any, x: Any) -> Any:
    shown = tf.reshape(x, (1, 16, 16, 4))[..., :3]
    shown = tf.image.adjust_hue(tf.image.random_flip_left_right(shown), 0.1)
    return tf.image.resize(shown, (8, 8), "bicubic")


def boxes(tf: Any, x: Any) -> Any:
    four, scores = tf.reshape(x, (1, -1, 1, 4)), tf.reshape(x, (1, -1, 4))[..., :1]
    return tf.image.combined_non_max_suppression(four, scores, 5, 5).nmsed_boxes


def control_flow(tf: Any, x: Any) -> Any:
    def body(i: Any, a: Any) -> Any:
        return i + 1, tf.cond(tf.reduce_sum(a) > 0, lambda: a * 2, lambda: a - 1)

    return tf.while_loop(lambda i, a: i < 10, body, [0, x])[1]


def random(tf: Any, x: Any) -> Any:
    shape = tf.shape(x)
    return x + tf.random.normal(shape) + tf.random.stateless_uniform(shape, [1, 2])


def checks(tf: Any, x: Any) -> Any:
    tf.debugging.assert_all_finite(x, "x")
    tf.print("shape", tf.shape(x))
    return x


def in_memory_dataset(tf: Any, x: Any) -> Any:
    rows = tf.data.Dataset.from_tensor_slices(x).map(lambda row: row * 2).batch(2)
    return rows.reduce(0.0, lambda total, some: total + tf.reduce_sum(some))


def text(tf: Any, x: Any) -> Any:
    words = tf.strings.split(tf.strings.regex_replace(tf.strings.lower(x), "[^a-z ]", ""))
    return tf.strings.to_hash_bucket_fast(words.to_tensor(), 100)


def pictures(tf: Any, x: Any) -> Any:
    def one(data: Any) -> Any:
        return tf.image.resize(tf.io.decode_image(data, 3, expand_animations=False), (8, 8))

    return tf.map_fn(one, x, fn_output_signature=tf.float32)


def examples(tf: Any, x: Any) -> Any:
    return tf.io.parse_example(x, {"a": tf.io.FixedLenFeature([2], tf.float32)})["a"]


NUMBERS: list[Callable[[Any, Any], Any]] = [
    *(stft, image, boxes, control_flow, random, checks, in_memory_dataset)
]
TEXTS: list[Callable[[Any, Any], Any]] = [text, pictures, examples]


@pytest.mark.parametrize("serve", [*NUMBERS, *TEXTS], ids=lambda serve: serve.__name__)
def test_modules(tmp_path: Path, tf: Any, serve: Callable[[Any, Any], Any]) -> None:
    spec = tf.TensorSpec([None], tf.string)
    if serve in NUMBERS:
        spec = tf.TensorSpec([None, 1024], tf.float32)
    module = tf.Module()
    module.serve = tf.function(lambda x: serve(tf, x), input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.serve)
    safety.check(tmp_path / "m", "saved_model")


def recurrent(keras: Any) -> Any:
    layers = keras.layers
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(given := layers.Input((12, 4)))
    return keras.Model(given, layers.Dense(2)(layers.GRU(3)(x)))


def vocabulary(keras: Any) -> Any:
    layers = keras.layers
    words = layers.TextVectorization(vocabulary=["a", "b"])
    given = keras.Input((1,), dtype="string")
    tail = layers.CategoryEncoding(5, output_mode="count")(
        layers.StringLookup(vocabulary=["x"])(given)
    )
    pooled = layers.GlobalAveragePooling1D()(layers.Embedding(9, 3)(words(given)))
    return keras.Model(given, layers.Concatenate()([pooled, tail]))


def augmented(keras: Any) -> Any:
    layers = keras.layers
    x = given = layers.Input((16, 16, 3))
    for layer in (layers.RandomFlip(), layers.RandomRotation(0.1), layers.Rescaling(1 / 255)):
        x = layer(x)
    x = layers.DepthwiseConv2D(3)(layers.BatchNormalization()(layers.Resizing(8, 8)(x)))
    return keras.Model(given, layers.Dense(2)(layers.Flatten()(layers.Dropout(0.1)(x))))


def attention(keras: Any) -> Any:
    layers, ops = keras.layers, keras.ops
    given = layers.Input((8, 4))
    x = ops.softmax(
        ops.einsum("bij,bkj->bik", layers.MultiHeadAttention(2, 4)(given, given), given)
    )
    return keras.Model(given, ops.slice_update(x, (0, 0, 0), ops.zeros((1, 1, 1))))


@pytest.mark.parametrize(
    "build", [recurrent, vocabulary, augmented, attention], ids=lambda build: build.__name__
)
def test_keras_exports(tmp_path: Path, tf: Any, build: Callable[[Any], Any]) -> None:
    """The export, and the Keras file itself."""
    import keras

    model = build(keras)
    model.save(tmp_path / "m.keras")
    safety.check(tmp_path / "m.keras", "keras")
    model.export(tmp_path / "m", verbose=False)
    safety.check(tmp_path / "m", "saved_model")


_TENSORFLOW_1 = """
import sys
import tensorflow as tf

v1 = tf.compat.v1
with tf.Graph().as_default(), v1.Session() as session:
    x = v1.placeholder(tf.float32, [None, 4])
    y = tf.matmul(x, v1.get_variable("w", [4, 2]))
    v1.summary.scalar("s", tf.reduce_mean(y))
    v1.summary.merge_all()
    v1.train.AdamOptimizer().minimize(tf.reduce_mean(y))
    table = tf.lookup.KeyValueTensorInitializer(["a"], [1])
    tf.lookup.StaticHashTable(table, 0)
    session.run([v1.global_variables_initializer(), v1.tables_initializer()])
    v1.saved_model.simple_save(session, sys.argv[1], {"x": x}, {"y": y})
"""


def test_tensorflow_1(tmp_path: Path) -> None:
    """Variables, a table, summaries, an optimizer and the saver, all in the main graph. In a process
    of its own: what other tests ask of TensorFlow does not fit sessions."""
    subprocess.run([sys.executable, "-c", _TENSORFLOW_1, str(tmp_path / "m")], check=True)
    safety.check(tmp_path / "m", "saved_model")
