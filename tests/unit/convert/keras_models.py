"""Small Keras models of many shapes, and all their conversions; run as a script, prints digests.

`python keras_models.py FOLDER` converts every model of FOLDER in the reverse order, after building
others, and prints the digest of each result as JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec

from taxiway.model import Model
from taxiway.model.inspect import describe
from taxiway.plugins import Context, registry

CHAINS = {
    "saved_model": ("saved_model",),
    "tflite": ("tflite",),
    "saved_model-tflite": ("saved_model", "tflite"),
    "saved_model-onnx": ("saved_model", "onnx"),
    "tflite-onnx": ("tflite", "onnx"),
}
BATCH = {"lstm": 1}
"""Models that TFLite needs a fixed batch for."""
IMPOSSIBLE = {("lstm", "saved_model-tflite"), ("gelu", "tflite-onnx")}


def build() -> Iterator[tuple[str, Any]]:
    import keras
    from keras import layers

    keras.utils.set_random_seed(7)
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(6, 3, activation="relu")(image)
    x = layers.DepthwiseConv2D(3, padding="same")(layers.BatchNormalization()(x))
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(layers.ReLU()(x)))
    yield "cnn", keras.Model(image, layers.Dense(10, activation="softmax", name="probs")(x))

    yield (
        "gelu",
        keras.Sequential(
            [keras.Input((6,)), layers.Dense(8, activation="gelu"), layers.Dense(3, name="out")]
        ),
    )

    # Built against the alphabet: order and structure of inputs and outputs are put to the test.
    def two(pack: Any) -> Any:
        zeta, alpha = keras.Input((4,), name="zeta"), keras.Input((6,), name="alpha")
        z, a = layers.Dense(3)(zeta), layers.Dense(3)(alpha)
        outputs = (layers.Subtract(name="late")([z, a]), layers.Dense(3, name="early")(z))
        return keras.Model(pack(zeta=zeta, alpha=alpha), pack(late=outputs[0], early=outputs[1]))

    yield "two_in_lists", two(lambda **parts: list(parts.values()))
    yield "two_in_dicts", two(dict)
    tokens = keras.Input((5,), dtype="int32", name="tokens")
    embedded = layers.GlobalAveragePooling1D()(layers.Embedding(10, 4)(tokens))
    yield "tokens", keras.Model(tokens, layers.Dense(2)(embedded))
    yield "lstm", keras.Sequential([keras.Input((5, 3)), layers.LSTM(4), layers.Dense(2)])


def convert(model: Model, to: str, **options: Any) -> Model:
    plugin = registry().get("converter", f"{model.format}_to_{to}")
    step = plugin.implementation(model.format)
    config = msgspec.convert(options, plugin.step.Config)
    step.check(config)
    return step.run(model, config, Context(workdir=Path(mkdtemp(prefix="taxiway-test-"))))


def chain(model: Model, name: str, batch: int | None = None) -> Model:
    for to in CHAINS[name]:
        model = convert(model, to, **({"batch": batch} if to == "tflite" else {}))
    return model


def digest(model: Model) -> dict[str, str]:
    files = [model.path] if model.path.is_file() else sorted(model.path.rglob("*"))
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()
    }


def main(folder: Path) -> dict[str, dict[str, str]]:
    digests = {}
    for path in sorted(folder.glob("*.keras"), reverse=True):
        for name in reversed(CHAINS):
            if (path.stem, name) not in IMPOSSIBLE:
                result = chain(describe(path, "keras"), name, BATCH.get(path.stem))
                digests[f"{path.stem} {name}"] = digest(result)
    return digests


if __name__ == "__main__":
    list(build())
    print(json.dumps(main(Path(sys.argv[1]))))
